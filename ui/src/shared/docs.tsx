/** Links to the documentation, which the server has of its own version. They open beside the page, which goes on. */
import type { ReactNode } from 'react';
import { BASE } from '../api/client';
import { cn } from './ui/cn';

/** A chapter, by its file in docs/book; the first one if left out. */
export function docsUrl(chapter = ''): string {
  return `${BASE}docs/${chapter}`;
}

interface DocLinkProps {
  chapter: string;
  className?: string;
  /** What is read about, as it stands in a sentence. */
  children: ReactNode;
}

export function DocLink({ chapter, className, children }: DocLinkProps) {
  return (
    <a
      href={docsUrl(chapter)}
      target="_blank"
      rel="noopener"
      className={cn(
        'text-accent underline decoration-dotted underline-offset-4 hover:decoration-solid',
        className,
      )}
    >
      {children}
    </a>
  );
}
