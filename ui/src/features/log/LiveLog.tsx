/**
 * The live list: the newest records as they come.
 *
 * Pause holds this list and nothing else. Scrolling away from the top holds it too, so that what is being
 * read does not move, and says so. What is not shown is counted.
 */
import { useState } from 'react';
import { TAIL_ROWS_MAX } from '../../api/tail';
import { formatNumber } from '../../shared/format';
import { useLastFresh, useLive } from '../../shared/live';
import { Panel } from '../../shared/panel';
import { panelState } from '../../shared/state';
import { arrivedSince, type Filter, type Hold, LEVELS, listed } from './list';
import { RowList } from './RowList';
import './log.css';

const NO_CLEARING = { received: 0, matched: 0, dropped: 0 };

export function LiveLog() {
  const link = useLive(state => state.link);
  const tail = useLive(state => state.tail);
  const asOf = useLastFresh();
  const [hold, setHold] = useState<Hold | null>(null);
  const [cleared, setCleared] = useState(NO_CLEARING);
  const [filter, setFilter] = useState<Filter>({ level: '', text: '' });

  const rows = listed(hold?.tail ?? tail, cleared.received, filter);
  const filtered = filter.level !== '' || filter.text.trim() !== '';

  return (
    <Panel
      title="Live log"
      name="log"
      // Before the first record the controls are of use already, so this panel is never without content.
      state={panelState(link, link.status === 'connecting' && tail.received === 0 ? null : 1, asOf)}
      empty=""
      aside={
        <span
          className="counts"
          title={`Shown: rows in this list, of the newest ${formatNumber(TAIL_ROWS_MAX)} kept by this page. Matched: records the server saw for it. Dropped: records the server left out to keep up.`}
        >
          shown <b>{formatNumber(rows.length)}</b> · matched{' '}
          <b>{formatNumber(tail.matched - cleared.matched)}</b> · dropped{' '}
          <b>{formatNumber(tail.dropped - cleared.dropped)}</b>
        </span>
      }
    >
      <div className="log-tools">
        <button
          type="button"
          aria-pressed={hold !== null}
          onClick={() => setHold(hold === null ? { reason: 'button', tail } : null)}
        >
          {hold === null ? 'Pause' : 'Resume'}
        </button>
        <button
          type="button"
          onClick={() => {
            setCleared({ received: tail.received, matched: tail.matched, dropped: tail.dropped });
            setHold(hold?.reason === 'button' ? { reason: 'button', tail } : null);
          }}
        >
          Clear
        </button>
        <select
          aria-label="Level"
          value={filter.level}
          onChange={event => setFilter({ ...filter, level: event.target.value })}
        >
          <option value="">all levels</option>
          {LEVELS.map(level => (
            <option key={level}>{level}</option>
          ))}
        </select>
        <input
          type="search"
          aria-label="Text"
          placeholder="text, path, address or status"
          value={filter.text}
          onChange={event => setFilter({ ...filter, text: event.target.value })}
        />
        <span className="log-hold">
          {hold !== null && (
            <>
              ▮▮ paused{hold.reason === 'scroll' && ' by scroll'} · {formatNumber(arrivedSince(hold, tail))}{' '}
              new
            </>
          )}
        </span>
      </div>
      <RowList
        rows={rows}
        held={hold !== null}
        onLeaveTop={() => setHold(hold ?? { reason: 'scroll', tail })}
        onReachTop={() => hold?.reason === 'scroll' && setHold(null)}
      />
      {rows.length === 0 && (
        <p className="panel-note log-nothing">
          {filtered ? 'No kept record passes this filter.' : 'No records yet; they appear as they are read.'}
        </p>
      )}
    </Panel>
  );
}
