/** A list of things to do with what was clicked. */
import { DropdownMenu as Radix } from 'radix-ui';
import type { ReactNode } from 'react';
import { Tooltip } from './tooltip';

export interface MenuItem {
  label: string;
  hint?: string;
  onSelect: () => void;
}

interface MenuProps {
  trigger: ReactNode;
  /** What the trigger is for, where it has no words of its own. */
  tooltip?: string;
  /** What the items complete. */
  title?: string;
  items: readonly MenuItem[];
}

export function Menu({ trigger, tooltip, title, items }: MenuProps) {
  const opener = <Radix.Trigger asChild>{trigger}</Radix.Trigger>;
  return (
    <Radix.Root>
      {tooltip === undefined ? opener : <Tooltip text={tooltip}>{opener}</Tooltip>}
      <Radix.Portal>
        <Radix.Content
          sideOffset={4}
          collisionPadding={8}
          className="fade z-40 min-w-44 rounded border border-line bg-panel py-1 shadow-lg"
        >
          {title !== undefined && (
            <Radix.Label className="max-w-72 px-3 py-1 text-label break-words text-muted">
              {title}
            </Radix.Label>
          )}
          {items.map(({ label, hint, onSelect }) => (
            <Radix.Item
              key={label}
              onSelect={onSelect}
              className="flex cursor-pointer justify-between gap-6 px-3 py-1 outline-none data-highlighted:bg-hover"
            >
              {label}
              {hint !== undefined && <span className="text-muted">{hint}</span>}
            </Radix.Item>
          ))}
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  );
}
