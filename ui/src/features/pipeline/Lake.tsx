/**
 * The lake: its tables with their files and what becomes of them, when it was last looked after, and the upkeep that can be
 * started from here.
 */
import { ChevronRight } from 'lucide-react';
import { Fragment, useState } from 'react';
import { ChangeButton } from '../../shared/change';
import { DocLink } from '../../shared/docs';
import {
  formatAge,
  formatDateTime,
  formatLength,
  formatNumber,
  formatTime,
  MISSING,
} from '../../shared/format';
import { useNow } from '../../shared/live';
import { Mark, Shape } from '../../shared/mark';
import { useGo, useUrl } from '../../shared/nav';
import { Panel } from '../../shared/panel';
import { Fact, Sql } from '../../shared/receipt';
import { useMayChange } from '../../shared/session';
import { answerState } from '../../shared/state';
import { cn } from '../../shared/ui/cn';
import { zoneName } from '../../shared/zone';
import { TableDetails } from './LakeTables';
import { OptimizeDialog } from './OptimizeDialog';
import {
  bytesOf,
  doneOf,
  hasManySmall,
  hoursOf,
  isRunning,
  type Job,
  kindOf,
  type Lake as LakeState,
  lakeSummary,
  outcomeOf,
  paceOf,
  type Table,
  toneOf,
  useCancel,
  useJobs,
  useLake,
} from './upkeep';
import { VacuumDialog } from './VacuumDialog';

type Open = { what: 'optimize'; table: string } | { what: 'vacuum' } | null;

export function Lake() {
  const query = useLake();
  const { data } = query;
  const mayChange = useMayChange();
  const [open, setOpen] = useState<Open>(null);
  const close = () => setOpen(null);
  const state = answerState(query, data === undefined ? null : data.tables.length);
  const summary = data === undefined ? null : lakeSummary(data);
  return (
    <div className="flex flex-col gap-3">
      <Panel
        title="Upkeep"
        className="shrink-0"
        state={state}
        empty="This dataflow stores nothing in the lake."
        onRetry={() => void query.refetch()}
        aside={
          data && (
            <>
              <ChangeButton className="h-6" onClick={() => setOpen({ what: 'optimize', table: '' })}>
                Optimize…
              </ChangeButton>
              <ChangeButton className="h-6" onClick={() => setOpen({ what: 'vacuum' })}>
                Vacuum…
              </ChangeButton>
            </>
          )
        }
      >
        {data && summary && (
          <div className="px-3 pb-3">
            <p data-lake={summary.well ? 'well' : 'unwell'}>
              <Mark tone={summary.well ? 'ok' : 'warn'} word={summary.text} className="whitespace-normal" />
            </p>
            <Facts lake={data} />
          </div>
        )}
      </Panel>
      <Jobs />
      <Panel
        title="Tables"
        className="shrink-0"
        state={state}
        empty=""
        aside={data && 'files a day by the last hour, once there is one'}
      >
        {data && <Tables tables={data.tables} onOptimize={table => setOpen({ what: 'optimize', table })} />}
      </Panel>
      {data && mayChange && open?.what === 'optimize' && (
        <OptimizeDialog tables={data.tables} table={open.table} onClose={close} />
      )}
      {data && mayChange && open?.what === 'vacuum' && <VacuumDialog lake={data} onClose={close} />}
    </div>
  );
}

function Facts({ lake }: { lake: LakeState }) {
  const now = useNow(10_000);
  const { version_retention_hours: hours, optimize_every_hours: every, requests } = lake;
  const backup = doneOf(lake.last_backup, 'copied', now);
  return (
    <dl className="mt-1 grid grid-cols-[auto_1fr] gap-x-4 gap-y-0.5">
      <Fact name="optimized">
        {doneOf(lake.last_optimize, 'written anew', now) ?? 'not yet'}
        <span className="text-muted">
          {every == null ? '; not by itself' : `; by itself every ${hoursOf(every)}`}
        </span>
        {requests.map(({ asked, tables, zorder }) => (
          <span key={asked} className="block" data-request>
            <Mark tone="live" word="asked" /> {formatTime(asked)} {zoneName()}:{' '}
            {tables.join(', ') || 'all tables'}
            {zorder.length > 0 && ` by ${zorder.join(', ')}`}
          </span>
        ))}
      </Fact>
      <Fact name="vacuumed">
        {doneOf(lake.last_vacuum, 'deleted', now) ?? 'not by hand'}
        {hours != null && (
          <span className="text-muted">
            ; the engine deletes versions older than {hoursOf(hours)} by itself
          </span>
        )}
      </Fact>
      <Fact name="backup">
        {backup === null ? (
          <>
            none from this lake is known. <DocLink chapter="upkeep">How to make one</DocLink>
          </>
        ) : (
          <>
            {backup} <span className="break-all text-muted">{lake.last_backup?.place}</span>
          </>
        )}
      </Fact>
      <Fact name="address">
        <span className="font-mono text-label break-all">{lake.address}</span>
      </Fact>
    </dl>
  );
}

/** Upkeep under way, and what became of the last. */
function Jobs() {
  const query = useJobs();
  const cancel = useCancel();
  const jobs = query.data ?? [];
  if (jobs.length === 0) return null;
  return (
    <Panel title="Jobs" className="shrink-0" state={answerState(query, jobs.length)} empty="">
      <ul>
        {jobs.map(job => (
          <li
            key={job.id}
            data-job={job.kind}
            data-job-state={job.state}
            className="border-t border-line px-3 py-1.5"
          >
            <div className="flex flex-wrap items-center gap-x-3 gap-y-1">
              <Mark tone={toneOf(job)} word={job.state} />
              <b className="font-medium">{kindOf(job)}</b>
              <span className="min-w-0 break-words">{outcomeOf(job)}</span>
              {isRunning(job) && (
                <ChangeButton
                  className="h-6"
                  disabled={cancel.isPending}
                  onClick={() => cancel.mutate(job.id)}
                >
                  Cancel
                </ChangeButton>
              )}
              <Started job={job} />
            </div>
            <details>
              <summary className="text-label text-muted">In a shell</summary>
              <Sql text={job.command} />
            </details>
          </li>
        ))}
      </ul>
      {cancel.error && (
        <p role="alert" className="px-3 pb-2 text-critical">
          {cancel.error.message}
        </p>
      )}
    </Panel>
  );
}

function Started({ job }: { job: Job }) {
  const { started, by, elapsed_seconds } = job;
  return (
    <span className="text-muted sm:ml-auto">
      {formatDateTime(started)} {zoneName()}
      {by != null && ` by ${by}`}, {isRunning(job) ? 'for' : 'took'} {formatAge(elapsed_seconds * 1000)}
    </span>
  );
}

const HEADS = ['version', 'last change', 'files', 'small', 'a day', 'bytes', 'rows', 'rows kept'];

function Tables({ tables, onOptimize }: { tables: readonly Table[]; onOptimize: (table: string) => void }) {
  const { node } = useUrl();
  const go = useGo();
  return (
    // `relative` holds the hidden heading of the last column, which would widen the page.
    <div
      className="relative overflow-x-auto px-3 pb-3"
      tabIndex={0}
      role="region"
      aria-label="Tables of the lake"
    >
      <table className="w-full">
        <thead className="text-left text-label text-muted">
          <tr>
            <th className="pr-3 font-normal">table</th>
            {HEADS.map(head => (
              <th key={head} className={cn('px-2 font-normal', head !== 'last change' && 'text-right')}>
                {head}
              </th>
            ))}
            <th className="font-normal">
              <span className="sr-only">Upkeep</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {tables.map(table => {
            const isOpen = node === table.name;
            return (
              <Fragment key={table.name}>
                <tr data-lake-table={table.name} className="border-t border-line">
                  <th scope="row" className="pr-3 text-left font-normal whitespace-nowrap">
                    <button
                      type="button"
                      aria-expanded={isOpen}
                      className="inline-flex items-center gap-1 align-bottom hover:underline"
                      onClick={() => go({ node: isOpen ? undefined : table.name } as object)}
                    >
                      <ChevronRight
                        size={14}
                        aria-hidden="true"
                        className={cn('text-muted', isOpen && 'rotate-90')}
                      />
                      {table.name}
                    </button>
                    {table.kind === 'view' && <span className="text-muted"> view</span>}
                  </th>
                  {table.problem == null ? (
                    <Cells table={table} />
                  ) : (
                    <td colSpan={HEADS.length} className="px-2">
                      <Mark tone="critical" word="cannot be read:" /> {table.problem}
                    </td>
                  )}
                  <td className="text-right">
                    <ChangeButton
                      kind="quiet"
                      className="h-6"
                      aria-label={`Optimize ${table.name}`}
                      onClick={() => onOptimize(table.name)}
                    >
                      Optimize…
                    </ChangeButton>
                  </td>
                </tr>
                {isOpen && (
                  <tr>
                    <td colSpan={HEADS.length + 2} className="pb-3 pl-5">
                      {table.partition_by.length > 0 && (
                        <p className="text-muted">Folders by {table.partition_by.join(', ')}.</p>
                      )}
                      <TableDetails name={table.name} />
                    </td>
                  </tr>
                )}
              </Fragment>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}

function Cells({ table }: { table: Table }) {
  const now = useNow(10_000);
  const { version, written, operation, file_count, small_files, bytes, rows, retention_seconds } = table;
  const cell = 'px-2 text-right whitespace-nowrap';
  return (
    <>
      <td className={cell}>{formatNumber(version)}</td>
      <td className="px-2 whitespace-nowrap">
        {written == null ? MISSING : `${formatAge(now - Date.parse(written))} ago`}{' '}
        <span className="text-muted">{operation}</span>
      </td>
      <td className={cell}>{formatNumber(file_count)}</td>
      <td className={cn(cell, hasManySmall(table) && 'text-warn')}>
        {hasManySmall(table) && <Shape tone="warn" />}
        {formatNumber(small_files)}
      </td>
      <td className={cell}>{paceOf(table) || MISSING}</td>
      <td className={cell}>{bytesOf(bytes)}</td>
      <td className={cell}>{formatNumber(rows)}</td>
      <td className={cell}>
        {retention_seconds == null ? 'for ever' : formatLength(retention_seconds * 1000)}
      </td>
    </>
  );
}
