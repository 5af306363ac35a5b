/** A small window beside what opened it. */
import { Popover as Radix } from 'radix-ui';
import type { ReactNode } from 'react';
import { cn } from './cn';

interface PopoverProps {
  trigger: ReactNode;
  open?: boolean;
  onOpenChange?: (open: boolean) => void;
  label: string;
  className?: string;
  children: ReactNode;
}

export function Popover({ trigger, open, onOpenChange, label, className, children }: PopoverProps) {
  const controlled = open === undefined ? {} : { open };
  const told = onOpenChange === undefined ? {} : { onOpenChange };
  return (
    <Radix.Root {...controlled} {...told}>
      <Radix.Trigger asChild>{trigger}</Radix.Trigger>
      <Radix.Portal>
        <Radix.Content
          aria-label={label}
          sideOffset={6}
          collisionPadding={8}
          className={cn('fade z-40 rounded border border-line bg-panel p-3 shadow-lg', className)}
        >
          {children}
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  );
}
