/**
 * Words about what is pointed at. They come by hover, by focus, and on a touch screen by holding; what is there only to be
 * explained shows them by a tap, a click or Enter.
 */
import { Tooltip as Radix } from 'radix-ui';
import { type ReactElement, type ReactNode, useEffect, useRef, useState } from 'react';

const AFTER_MS = 300;
const HELD_MS = 450;

interface TooltipProps {
  text: ReactNode;
  /** What is explained: one element that takes the focus. */
  children: ReactElement;
  side?: 'top' | 'bottom' | 'left' | 'right';
  /** Whether a tap or a click shows it, which then does nothing else. */
  tap?: boolean;
}

export function Tooltip({ text, children, side = 'bottom', tap = false }: TooltipProps) {
  const [open, setOpen] = useState(false);
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  /** The finger that is down: whether it has shown it by being held, and whether it came while it was open. */
  const finger = useRef<{ held: boolean; wasOpen: boolean } | null>(null);
  useEffect(() => () => clearTimeout(timer.current), []);
  const release = () => clearTimeout(timer.current);
  return (
    <Radix.Provider delayDuration={AFTER_MS} disableHoverableContent>
      <Radix.Root open={open} onOpenChange={setOpen}>
        <Radix.Trigger
          asChild
          onPointerDown={event => {
            finger.current = event.pointerType === 'touch' ? { held: false, wasOpen: open } : null;
            if (finger.current === null || tap) return;
            timer.current = setTimeout(() => {
              finger.current = { held: true, wasOpen: open };
              setOpen(true);
            }, HELD_MS);
          }}
          onPointerUp={release}
          onPointerCancel={release}
          onClickCapture={event => {
            const by = finger.current;
            finger.current = null;
            if (!tap && !by?.held) return;
            // What was held to be read is not meant to be pressed.
            event.preventDefault();
            event.stopPropagation();
            if (tap) setOpen(!by?.wasOpen);
          }}
        >
          {children}
        </Radix.Trigger>
        <Radix.Portal>
          <Radix.Content
            side={side}
            sideOffset={4}
            collisionPadding={8}
            className="fade z-50 max-w-80 rounded border border-line bg-panel px-2 py-1 text-label text-text shadow-lg"
          >
            {text}
          </Radix.Content>
        </Radix.Portal>
      </Radix.Root>
    </Radix.Provider>
  );
}

/** Words that are explained: underlined, and in the order of the Tab key. */
export function Explained({ text, children }: { text: ReactNode; children: ReactNode }) {
  return (
    <Tooltip text={text} tap>
      <button
        type="button"
        className="inline-target cursor-help rounded text-left decoration-muted decoration-dotted underline-offset-4 hover:underline"
      >
        {children}
      </button>
    </Tooltip>
  );
}
