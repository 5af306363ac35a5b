/** The keys, on one sheet. */
import { DocLink } from '../shared/docs';
import { Dialog } from '../shared/ui/dialog';
import { KEYS } from './keyboard';

export function Help({ open, onClose }: { open: boolean; onClose: () => void }) {
  return (
    <Dialog open={open} onClose={onClose} title="Keys">
      <dl className="grid grid-cols-[auto_1fr] gap-x-6 gap-y-1">
        {KEYS.map(([key, what]) => (
          <div key={key} className="contents">
            <dt className="font-mono text-label text-accent">{key}</dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
      <p className="mt-3 text-muted">
        More about <DocLink chapter="page">the page</DocLink>, <DocLink chapter="sql">SQL</DocLink> and{' '}
        <DocLink chapter="introduction">everything else</DocLink> is in the documentation.
      </p>
    </Dialog>
  );
}
