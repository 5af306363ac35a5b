/** A window over the page; Escape closes it. */
import { Dialog as Radix } from 'radix-ui';
import type { ReactNode } from 'react';
import { cn } from './cn';

interface DialogProps {
  open: boolean;
  onClose: () => void;
  title: string;
  className?: string;
  children: ReactNode;
}

export function Dialog({ open, onClose, title, className, children }: DialogProps) {
  return (
    <Radix.Root open={open} onOpenChange={next => !next && onClose()}>
      <Radix.Portal>
        <Radix.Overlay className="fade fixed inset-0 z-40 bg-black/40" />
        <Radix.Content
          aria-describedby={undefined}
          className={cn(
            'fade fixed top-[12vh] left-1/2 z-50 max-h-[76vh] w-[min(92vw,640px)] -translate-x-1/2 overflow-auto rounded border border-line bg-panel p-4 shadow-xl',
            className,
          )}
        >
          <Radix.Title className="mb-2 text-control font-medium">{title}</Radix.Title>
          {children}
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  );
}
