/** A list of things to do with what was clicked. */
import { DropdownMenu as Radix } from 'radix-ui';
import type { ReactNode } from 'react';

export interface MenuItem {
  label: string;
  hint?: string;
  onSelect: () => void;
}

export function Menu({ trigger, items }: { trigger: ReactNode; items: readonly MenuItem[] }) {
  return (
    <Radix.Root>
      <Radix.Trigger asChild>{trigger}</Radix.Trigger>
      <Radix.Portal>
        <Radix.Content
          sideOffset={4}
          collisionPadding={8}
          className="fade z-40 min-w-44 rounded border border-line bg-panel py-1 shadow-lg"
        >
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
