/**
 * The six numbers of the page, renewed each second. Numbers are the typography: large values, small units.
 */
import type { ReactNode } from 'react';
import type { Metrics } from '../../api/wire';
import { formatNumber, formatRate, quantifyBytes } from '../../shared/format';
import { useLive } from '../../shared/live';
import { Sparkline } from './Sparkline';
import './metrics.css';

export function MetricTiles() {
  const metrics = useLive(state => state.metrics);
  const history = useLive(state => state.history);
  const live = useLive(state => state.link.status === 'live');
  const curve = (of: (metrics: Metrics) => number | null) => <Sparkline values={history.map(of)} />;
  const bytes = quantifyBytes(metrics?.dataProcessed);
  return (
    <section className="tiles" aria-label="Metrics" data-state={live ? 'live' : 'stale'}>
      <Tile name="events" title="Events" value={formatRate(metrics?.eventsPerSec)} unit="/s">
        {curve(({ eventsPerSec }) => eventsPerSec)}
      </Tile>
      <Tile
        name="errors"
        title="Error rate"
        value={formatNumber(metrics?.errorRate, 1)}
        unit="%"
        note={`server errors ${formatNumber(metrics?.serverErrorRate, 1)} %`}
      >
        {curve(({ errorRate }) => errorRate)}
      </Tile>
      <Tile
        name="response"
        title="Mean response time"
        value={formatNumber(metrics?.avgResponseTime)}
        unit="ms"
      >
        {curve(({ avgResponseTime }) => avgResponseTime)}
      </Tile>
      <Tile name="sessions" title="Active sessions" value={formatNumber(metrics?.activeSessions)}>
        {curve(({ activeSessions }) => activeSessions)}
      </Tile>
      <Tile name="data" title="Data processed" value={bytes.value} unit={bytes.unit} />
      <Tile
        name="records"
        title="Records"
        value={formatNumber(metrics?.totalRequests)}
        note={`of them errors ${formatNumber(metrics?.totalErrors)}`}
      />
    </section>
  );
}

interface TileProps {
  name: string;
  title: string;
  value: string;
  unit?: string;
  note?: string;
  children?: ReactNode;
}

function Tile({ name, title, value, unit, note, children }: TileProps) {
  return (
    <div className="tile" data-tile={name}>
      <h2 className="tile-title">{title}</h2>
      <p className="tile-number">
        <span className="tile-value">{value}</span>
        {unit && <span className="tile-unit">{unit}</span>}
        {note && <span className="tile-note">{note}</span>}
      </p>
      {children}
    </div>
  );
}
