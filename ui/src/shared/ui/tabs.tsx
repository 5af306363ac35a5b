/** Several views of one thing, one at a time. */
import { Tabs as Radix } from 'radix-ui';
import type { ReactNode } from 'react';

interface TabsProps {
  value: string;
  onChange: (value: string) => void;
  tabs: readonly { value: string; label: ReactNode; disabled?: boolean }[];
  label: string;
  aside?: ReactNode;
  children: ReactNode;
}

export function Tabs({ value, onChange, tabs, label, aside, children }: TabsProps) {
  return (
    <Radix.Root value={value} onValueChange={onChange} className="flex min-h-0 flex-1 flex-col">
      <div className="flex flex-wrap items-center gap-2 border-b border-line pr-2">
        <Radix.List aria-label={label} className="flex">
          {tabs.map(tab => (
            <Radix.Trigger
              key={tab.value}
              value={tab.value}
              disabled={tab.disabled}
              className="border-b-2 border-transparent px-3 py-1.5 text-muted hover:text-text disabled:opacity-40 data-[state=active]:border-accent data-[state=active]:text-text"
            >
              {tab.label}
            </Radix.Trigger>
          ))}
        </Radix.List>
        <div className="ml-auto flex flex-wrap items-center gap-2 text-label text-muted">{aside}</div>
      </div>
      <Radix.Content value={value} className="flex min-h-0 flex-1 flex-col outline-none" tabIndex={-1}>
        {children}
      </Radix.Content>
    </Radix.Root>
  );
}
