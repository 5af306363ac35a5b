/** Looks for what no version within the retention needs, and deletes it only once that is seen. */
import { useState } from 'react';
import { ChangeButton } from '../../shared/change';
import { DocLink } from '../../shared/docs';
import { formatNumber } from '../../shared/format';
import { Mark } from '../../shared/mark';
import { sentence } from '../../shared/panel';
import { Button } from '../../shared/ui/button';
import { Dialog } from '../../shared/ui/dialog';
import { bytesOf, counted, hoursOf, type Job, type Lake, useJobs, useVacuum } from './upkeep';

const HOURS_MAX = 168;

export function VacuumDialog({ lake, onClose }: { lake: Lake; onClose: () => void }) {
  const usual = lake.version_retention_hours ?? HOURS_MAX;
  const [text, setText] = useState(String(usual));
  const [dry, setDry] = useState<{ id: string; hours: number } | null>(null);
  const vacuum = useVacuum();
  const { data: jobs } = useJobs();
  const hours = /^\d{1,3}$/.test(text.trim()) ? Number(text) : 0;
  const isHours = hours >= 1 && hours <= HOURS_MAX;
  // What was looked for with another retention says nothing of this one.
  const found = dry === null || dry.hours !== hours ? undefined : jobs?.find(({ id }) => id === dry.id);
  const look = () =>
    vacuum.mutate(
      { dry_run: true, retention_hours: hours },
      { onSuccess: ({ id }) => setDry({ id, hours }) },
    );
  const remove = () => vacuum.mutate({ dry_run: false, retention_hours: hours }, { onSuccess: onClose });
  const waste = found?.state === 'done' ? found.vacuumed : null;
  return (
    <Dialog open onClose={onClose} title="Vacuum">
      <div className="flex flex-col gap-3">
        <p className="text-muted">
          Deletes files that no version of the last hours needs. Older versions can then no longer be read;
          the newest rows stay as they are. <DocLink chapter="upkeep">More about upkeep</DocLink>
        </p>
        <label className="flex flex-wrap items-center gap-2">
          <span className="text-label text-muted">Versions stay readable for hours</span>
          <input
            className="h-7 w-20 rounded border border-line bg-ground px-2"
            inputMode="numeric"
            value={text}
            aria-invalid={!isHours}
            onChange={({ target }) => setText(target.value)}
          />
          {!isHours && <span className="text-critical">1 to {HOURS_MAX}</span>}
          {isHours && hours < usual && (
            <Mark
              tone="warn"
              word={`shorter than the ${hoursOf(usual)} that the engine keeps`}
              className="whitespace-normal"
            />
          )}
        </label>
        {found !== undefined && <Found job={found} />}
        {vacuum.error && (
          <p role="alert" className="text-critical">
            {sentence(vacuum.error.message)}
          </p>
        )}
        <div className="flex flex-wrap gap-2">
          <ChangeButton
            kind={waste ? 'outline' : 'main'}
            disabled={!isHours || vacuum.isPending || found?.state === 'running'}
            onClick={look}
          >
            Dry run
          </ChangeButton>
          {waste && waste.files > 0 && (
            <ChangeButton kind="main" disabled={vacuum.isPending} onClick={remove}>
              Delete {counted(waste.files, 'file')}, {bytesOf(waste.bytes)}
            </ChangeButton>
          )}
          <Button onClick={onClose}>Close</Button>
        </div>
      </div>
    </Dialog>
  );
}

function Found({ job }: { job: Job }) {
  if (job.state === 'running')
    return (
      <p role="status">
        <Mark tone="live" word="Looking" /> <span className="text-muted">{job.step}</span>
      </p>
    );
  const { vacuumed } = job;
  if (vacuumed == null)
    return (
      <p role="alert" className="text-critical">
        {sentence(job.problem ?? `The dry run was ${job.state}`)}
      </p>
    );
  if (vacuumed.files === 0)
    return <p role="status">Nothing to delete: everything belongs to a version that is kept.</p>;
  return (
    <div role="status" data-waste={vacuumed.files}>
      <p>
        {counted(vacuumed.files, 'file')}, {bytesOf(vacuumed.bytes)} can go; nothing was deleted yet.
      </p>
      <table className="mt-1 w-full text-label">
        <thead className="text-left text-muted">
          <tr>
            <th className="pr-3 font-normal">of</th>
            <th className="pr-3 font-normal">what</th>
            <th className="pr-3 text-right font-normal">files</th>
            <th className="text-right font-normal">bytes</th>
          </tr>
        </thead>
        <tbody>
          {vacuumed.waste.map(({ table, why, what, files, bytes }) => (
            <tr key={`${table} ${why}`} className="border-t border-line">
              <td className="pr-3">{table}</td>
              <td className="pr-3 text-muted">{what}</td>
              <td className="pr-3 text-right">{formatNumber(files)}</td>
              <td className="text-right whitespace-nowrap">{bytesOf(bytes)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
