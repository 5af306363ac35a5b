/**
 * The tab's title says what a person wants to know without opening it.
 */
import { useEffect } from 'react';
import type { Link } from '../api/link';
import { formatRate } from '../shared/format';
import { useLive } from '../shared/live';

export function useTitle(): void {
  const link = useLive(state => state.link);
  const eventsPerSec = useLive(state => state.metrics?.eventsPerSec);
  const title = titleFor(link, eventsPerSec);
  useEffect(() => {
    document.title = title;
  }, [title]);
}

export function titleFor(link: Link, eventsPerSec: number | null | undefined): string {
  switch (link.status) {
    case 'connecting':
      return 'connecting · tidelake';
    case 'live':
      return `${formatRate(eventsPerSec)} /s · tidelake`;
    case 'stale':
      return 'stale · tidelake';
    case 'reconnecting':
      return 'reconnecting · tidelake';
  }
}
