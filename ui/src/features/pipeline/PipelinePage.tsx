/**
 * How records get from the sources to the lake, whether every part is well, and, if it is slow, what slows it down. A tab of its own has the records
 * that could not be decoded, another one the lake and its upkeep.
 */
import { useFrozen, useLastFresh, useLive } from '../../shared/live';
import { useGo, useUrl } from '../../shared/nav';
import { Panel } from '../../shared/panel';
import { panelState } from '../../shared/state';
import { Tabs } from '../../shared/ui/tabs';
import { Costs } from './Costs';
import { DeadLetters } from './DeadLetters';
import { Folded } from './Folded';
import { Freshness } from './Freshness';
import { Graph } from './Graph';
import { Lag } from './Lag';
import { Lake } from './Lake';
import { LakeTables } from './LakeTables';
import { useDeadLetters } from './letters';
import { NodeDrawer } from './NodeDrawer';
import { Status } from './Status';
import { Verification } from './Verification';
import { Workers } from './Workers';
import { commitsSummary, costsSummary, partitionsSummary, workersSummary } from './words';

const LETTERS = 'dead-letters';
const LAKE = 'lake';

export function PipelinePage() {
  const { tab } = useUrl();
  const go = useGo();
  const { data: letters } = useDeadLetters();
  const undecoded = useLive(state => state.pipeline?.sources.reduce((sum, it) => sum + it.undecoded, 0) ?? 0);
  const count = letters?.letters ?? undecoded;
  const value = tab === LETTERS || tab === LAKE ? tab : 'flow';
  return (
    <div className="flex flex-col px-4 pt-1 pb-3 md:h-full md:overflow-y-auto">
      <Tabs
        label="Pipeline"
        value={value}
        onChange={next => go({ tab: next === 'flow' ? undefined : next, node: undefined } as object)}
        tabs={[
          { value: 'flow', label: 'Dataflow' },
          { value: LAKE, label: 'Lake' },
          {
            value: LETTERS,
            label: (
              <>
                Dead letters <span className={count > 0 ? 'text-warn' : 'text-muted'}>{count}</span>
              </>
            ),
          },
        ]}
      >
        <div className="pt-3">
          {value === LETTERS ? <DeadLetters /> : value === LAKE ? <Lake /> : <Flow />}
        </div>
      </Tabs>
    </div>
  );
}

function Flow() {
  const pipeline = useLive(state => state.pipeline);
  const link = useLive(state => state.link);
  const frozen = useFrozen();
  const asOf = useLastFresh();
  const { node } = useUrl();
  const state = panelState(link, pipeline === null ? null : 1, asOf, frozen);
  const frame = { state, empty: '' };
  return (
    <div className="flex flex-col gap-3">
      <Panel title="Status" className="shrink-0" {...frame}>
        {pipeline && <Status pipeline={pipeline} />}
      </Panel>
      <div className="flex shrink-0 gap-3">
        <Panel title="Dataflow" className="flex-1" {...frame} aside="rates over 10 s">
          {pipeline && <Graph pipeline={pipeline} />}
        </Panel>
        {pipeline && node !== undefined && <NodeDrawer pipeline={pipeline} id={node} />}
      </div>
      <Panel title="Freshness" className="shrink-0" {...frame} aside="median and p99 of the last minutes">
        {pipeline && <Freshness pipeline={pipeline} />}
      </Panel>
      {pipeline && (
        <>
          <Folded title="Partitions" summary={partitionsSummary(pipeline.sources)}>
            <Lag pipeline={pipeline} />
          </Folded>
          <Folded title="Costs" summary={costsSummary(pipeline)}>
            <Costs pipeline={pipeline} />
          </Folded>
          <Folded title="Workers" summary={workersSummary(pipeline)}>
            <Workers pipeline={pipeline} />
          </Folded>
          <Folded title="Commits" summary={commitsSummary(pipeline)}>
            <LakeTables pipeline={pipeline} />
          </Folded>
        </>
      )}
      <Verification />
    </div>
  );
}
