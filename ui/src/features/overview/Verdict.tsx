/**
 * The one most important thing now, since when, and where to look; or that nothing is wrong. It is of now, whatever range
 * the page looks at.
 */
import { useLive, useNow } from '../../shared/live';
import { Shape } from '../../shared/mark';
import { useGo, useSpan } from '../../shared/nav';
import { Button } from '../../shared/ui/button';
import { cn } from '../../shared/ui/cn';
import { useWorld } from './useWorld';
import { openOf, type World } from './world';

const SPAN_EVERY_MS = 30_000;
const NOW_EVERY_MS = 1_000;
const INCIDENTS_MAX = 3;
const DEAD_LETTERS = 'SELECT * FROM lake.dead_letters ORDER BY _epoch DESC LIMIT 200';

export function Verdict() {
  const world = useWorld();
  const isLive = useLive(state => state.link.status === 'live');
  const { fixed } = useSpan(SPAN_EVERY_MS);
  const { tone, title, detail, since, more, goTo, where, incident } = world.headline;
  return (
    <section
      aria-label="Current status"
      data-tone={tone}
      className={cn(
        'flex min-h-9 shrink-0 flex-wrap items-center gap-x-3 rounded border border-line bg-panel px-3 py-1',
        !isLive && 'opacity-60',
      )}
    >
      <span className="flex items-center">
        <Shape tone={tone} />
        {fixed && <span className="mr-2 text-muted">Now:</span>}
        <b className="font-medium">{title}</b>
      </span>
      {detail !== '' && <span className={tone === 'ok' ? 'text-muted' : ''}>{detail}</span>}
      {since !== '' && <span className="text-muted">{since}</span>}
      {more > 0 && <span className="text-muted">+{more} more</span>}
      <span className="ml-auto flex">
        <Actions goTo={goTo} where={where} incident={incident} />
      </span>
      <Incidents world={world} />
    </section>
  );
}

/** What detectors found, beside the one thing that is told. */
function Incidents({ world }: { world: World }) {
  const go = useGo();
  const now_ms = useNow(NOW_EVERY_MS);
  const all = openOf(world, now_ms)
    .filter(it => it.incident !== undefined && it.id !== world.headline.id)
    .sort(
      (a, b) =>
        Number(a.handled !== undefined) - Number(b.handled !== undefined) ||
        (b.severity ?? 0) - (a.severity ?? 0),
    );
  if (all.length === 0) return null;
  return (
    <ul aria-label="Active incidents" className="flex basis-full flex-wrap gap-x-4">
      {all.slice(0, INCIDENTS_MAX).map(({ id, title, tone, handled, incident = '' }) => (
        <li key={id}>
          <button type="button" className="hover:underline" onClick={() => go({ incident }, '/anomalies')}>
            <Shape tone={handled === undefined ? tone : 'quiet'} />
            {title}
            {handled !== undefined && <span className="text-muted"> ({handled})</span>}
          </button>
        </li>
      ))}
      {all.length > INCIDENTS_MAX && (
        <li>
          <button type="button" className="text-accent hover:underline" onClick={() => go({}, '/anomalies')}>
            all {all.length}
          </button>
        </li>
      )}
    </ul>
  );
}

function Actions({ goTo, where, incident }: Pick<World['headline'], 'goTo' | 'where' | 'incident'>) {
  const go = useGo();
  const button = (label: string, onClick: () => void) => (
    <Button kind="quiet" className="h-6" onClick={onClick}>
      {label}
    </Button>
  );
  switch (goTo) {
    case null:
      return null;
    case 'pipeline':
      return button('Open Pipeline', () => go({}, '/pipeline'));
    case 'dead letters':
      return button('Show dead letters', () => go({ q: DEAD_LETTERS }, '/query'));
    case 'incident':
      return (
        <>
          {incident !== undefined && button('Open incident', () => go({ incident }, '/anomalies'))}
          {button('All anomalies', () => go({}, '/anomalies'))}
        </>
      );
    case 'anomalies':
    case 'traffic':
      return (
        <>
          {where !== undefined && button('Records', () => go({ where, past: true }, '/logs'))}
          {goTo === 'anomalies' && button('All anomalies', () => go({ tab: 'rules' }, '/anomalies'))}
        </>
      );
  }
}
