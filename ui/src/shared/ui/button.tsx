/**
 * Buttons: a link within a sentence, quiet text, outlined, or filled for the one main action of a page.
 */
import type { ButtonHTMLAttributes } from 'react';
import { cn } from './cn';

type Kind = 'link' | 'quiet' | 'outline' | 'main';

const KINDS: Record<Kind, string> = {
  link: 'h-auto px-0 text-accent underline decoration-dotted underline-offset-4 hover:decoration-solid',
  quiet: 'text-accent hover:bg-hover',
  outline: 'border border-line text-text hover:bg-hover aria-pressed:border-accent aria-pressed:text-accent',
  main: 'bg-accent font-medium text-ground hover:opacity-90',
};

export interface ButtonProps extends ButtonHTMLAttributes<HTMLButtonElement> {
  kind?: Kind;
}

export function Button({ kind = 'outline', className, ...rest }: ButtonProps) {
  return (
    <button
      type="button"
      className={cn(
        'inline-flex h-7 items-center gap-1.5 rounded px-2 whitespace-nowrap disabled:cursor-not-allowed disabled:opacity-50 aria-disabled:cursor-not-allowed aria-disabled:opacity-50',
        KINDS[kind],
        className,
      )}
      {...rest}
    />
  );
}
