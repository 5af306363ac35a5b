/** A part of the page that is folded, with a line of what is in it, while all is well; whoever opens or closes it decides. */
import { ChevronRight } from 'lucide-react';
import { type ReactNode, useState } from 'react';
import { Shape } from '../../shared/mark';
import { cn } from '../../shared/ui/cn';
import type { Summary } from './words';

export function Folded({
  title,
  summary,
  children,
}: {
  title: string;
  summary: Summary;
  children: ReactNode;
}) {
  const [chosen, setChosen] = useState<boolean | null>(null);
  const open = chosen ?? !summary.well;
  return (
    <section aria-label={title} className="rounded border border-line bg-panel" data-well={summary.well}>
      <h2 className="text-control">
        <button
          type="button"
          aria-expanded={open}
          className="flex w-full md:min-h-9 flex-wrap items-center gap-x-3 px-3 py-1 text-left hover:bg-hover"
          onClick={() => setChosen(!open)}
        >
          <ChevronRight size={14} aria-hidden="true" className={cn('text-muted', open && 'rotate-90')} />
          <span className="font-medium">{title}</span>
          <span className={cn('text-body', summary.well ? 'text-muted' : 'text-warn')}>
            {!summary.well && <Shape tone="warn" />}
            {summary.text}
          </span>
        </button>
      </h2>
      {open && children}
    </section>
  );
}
