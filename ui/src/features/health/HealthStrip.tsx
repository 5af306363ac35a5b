/**
 * The first line of the page: is anything broken? The whole first, then one tile for each component.
 */
import type { ComponentStatus, Health } from '../../api/wire';
import { formatAge, formatTime } from '../../shared/format';
import { useLastFresh, useLive } from '../../shared/live';
import { Mark, type Tone } from '../../shared/mark';
import './health.css';

const OVERALL: Record<Health['status'], Tone> = { ok: 'ok', degraded: 'warn', down: 'critical' };
const COMPONENT: Record<ComponentStatus, Tone> = {
  ok: 'ok',
  warn: 'warn',
  down: 'critical',
  starting: 'stale',
};

export function HealthStrip() {
  const health = useLive(state => state.health);
  const live = useLive(state => state.link.status === 'live');
  const asOf = useLastFresh();
  if (health === null) {
    return (
      <section className="health" aria-label="Health">
        <div className="health-tile">
          <Mark tone="stale" word="unknown" />
          <span className="muted">no health report yet</span>
        </div>
      </section>
    );
  }
  return (
    <section className="health" aria-label="Health" data-state={live ? 'live' : 'stale'}>
      <div className="health-tile health-overall">
        <span className="health-name">Overall</span>
        <Mark tone={OVERALL[health.status] ?? 'stale'} word={health.status} />
        <span className="health-detail">{live ? aboutProcess(health) : `as of ${formatTime(asOf)} UTC`}</span>
      </div>
      {health.components.map(({ name, status, detail }) => (
        <div className="health-tile" key={name} title={detail ?? undefined}>
          <span className="health-name">{name}</span>
          <Mark tone={COMPONENT[status] ?? 'stale'} word={status} />
          <span className="health-detail">{detail}</span>
        </div>
      ))}
    </section>
  );
}

function aboutProcess({ version, uptime_seconds }: Health): string {
  const parts = [];
  if (uptime_seconds !== null) parts.push(`up ${formatAge(uptime_seconds * 1000)}`);
  if (version !== null) parts.push(version);
  return parts.join(' · ');
}
