/** That a search goes on, for how long and how far it has come, and how to end it. Short ones say nothing. */
import { useEffect, useState } from 'react';
import { formatNumber } from '../../shared/format';
import { Button } from '../../shared/ui/button';

const QUIET_MS = 1_000;

/** Milliseconds since it began; 0 while it does not run. */
function useElapsed(runs: boolean): number {
  const [elapsed, setElapsed] = useState(0);
  useEffect(() => {
    if (!runs) return setElapsed(0);
    const began = Date.now();
    const timer = setInterval(() => setElapsed(Date.now() - began), 200);
    return () => clearInterval(timer);
  }, [runs]);
  return elapsed;
}

interface SearchingProps {
  runs: boolean;
  /** How much of the range was looked through, between 0 and 1, if that is known. */
  share?: number | undefined;
  onCancel: () => void;
}

export function Searching({ runs, share, onCancel }: SearchingProps) {
  const elapsed = useElapsed(runs);
  if (elapsed < QUIET_MS) return null;
  return (
    <span role="status" data-searching className="flex items-center gap-2">
      {share !== undefined && (
        <progress
          className="h-1.5 w-20"
          aria-label="Share of the range that was searched"
          value={share}
          max={1}
        />
      )}
      searching {formatNumber(elapsed / 1000)} s
      {share !== undefined && `, ${formatNumber(100 * share)} % of the range`}
      <Button className="h-6" onClick={onCancel}>
        Cancel
      </Button>
    </span>
  );
}
