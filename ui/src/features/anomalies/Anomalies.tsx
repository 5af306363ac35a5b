/**
 * What is unusual: incidents of the dataflow's detectors, and, where it has a view of them, what its own rules found.
 */
import { DocLink } from '../../shared/docs';
import { useGo, useUrl } from '../../shared/nav';
import { Sql } from '../../shared/receipt';
import { Tabs } from '../../shared/ui/tabs';
import { useDetectors, useRuleViews } from '../../shared/useDetectors';
import { Incidents } from './Incidents';
import { Rules } from './Rules';

const EXAMPLE = `CREATE DETECTOR unusual ON view
  METRICS (rate(count), ratio(failures, count), latency(time));`;

export function Anomalies() {
  const { tab } = useUrl();
  const go = useGo();
  const detectors = useDetectors();
  const rules = useRuleViews();
  if (rules === null || detectors === null) return <p className="px-4 py-3 text-muted">Waiting for data…</p>;
  const hasRules = rules.length > 0;
  if (detectors.length === 0 && !hasRules) return <Nothing />;
  if (detectors.length === 0) return <Rules views={rules} />;
  if (!hasRules) return <Incidents detectors={detectors} />;
  const value = tab === 'rules' ? 'rules' : 'incidents';
  return (
    <div className="flex flex-col md:h-full">
      <Tabs
        label="What is shown"
        value={value}
        onChange={next => go({ tab: next === 'rules' ? next : undefined, incident: undefined } as object)}
        tabs={[
          { value: 'incidents', label: 'Incidents' },
          { value: 'rules', label: 'Rules' },
        ]}
      >
        {value === 'rules' ? <Rules views={rules} /> : <Incidents detectors={detectors} />}
      </Tabs>
    </div>
  );
}

function Nothing() {
  return (
    <div className="flex max-w-2xl flex-col gap-2 px-4 py-3">
      <p className="text-muted">
        This dataflow has no detector; a statement like this, over a view of windows, adds one:
      </p>
      <Sql text={EXAMPLE} />
      <p className="text-muted">
        <DocLink chapter="detectors">Detectors</DocLink> tells what there are, and{' '}
        <DocLink chapter="incidents">Incidents and webhooks</DocLink> who is told of what they find.
      </p>
    </div>
  );
}
