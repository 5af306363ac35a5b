/** A report to be read: which commit it is of, then its parts with their figures, charts and tables. */
import { useState } from 'react';
import { Chart, type Series } from '../../shared/chart';
import { formatDateTime, formatNumber } from '../../shared/format';
import { Panel, sentence } from '../../shared/panel';
import { Fact, SqlReceipt } from '../../shared/receipt';
import { Button } from '../../shared/ui/button';
import { cn } from '../../shared/ui/cn';
import { zoneName } from '../../shared/zone';
import {
  type Bar,
  drawingOf,
  headingOf,
  isFigure,
  type Report,
  type ReportChart,
  type Section,
  shownValue,
} from './report';

const ROWS_FIRST = 12;

export function ReportView({ report }: { report: Report }) {
  return (
    <div className="flex flex-col gap-4" data-report={report.name}>
      <Head report={report} />
      {report.parts.map(part => (
        <section key={part.name} aria-label={part.title} className="flex flex-col gap-3">
          <h2 className="text-section">{part.title}</h2>
          {part.missing != null && <p className="text-muted">{sentence(part.missing)}</p>}
          {part.sections.map(section => (
            <SectionPanel key={section.id} section={section} />
          ))}
        </section>
      ))}
    </div>
  );
}

function Head({ report }: { report: Report }) {
  const { from, to, range, made_at, commit, notes, zone } = report;
  const time = (at: string | null | undefined) => (at == null ? '' : formatDateTime(at));
  const versions = Object.entries(commit.versions).map(([table, version]) => `${table} ${version}`);
  return (
    <div>
      <dl className="grid grid-cols-[auto_1fr] gap-x-4 gap-y-0.5">
        <Fact name="range">
          {from == null && to == null ? 'no records' : `${time(from)} – ${time(to)} ${zoneName()}`}{' '}
          <span className="text-muted">({range})</span>
        </Fact>
        <Fact name="as of">
          commit {formatNumber(commit.number)}, {formatDateTime(commit.as_of)} {zoneName()}
          <span className="text-muted">
            {' '}
            · counted {formatDateTime(made_at)} {zoneName()} · hours and days of {zone}
          </span>
        </Fact>
        {versions.length > 0 && (
          <Fact name="versions">
            <span className="break-words text-muted">{versions.join(', ')}</span>
          </Fact>
        )}
      </dl>
      {notes.map(note => (
        <p key={note} className="mt-1 text-muted">
          {sentence(note)}
        </p>
      ))}
    </div>
  );
}

function SectionPanel({ section }: { section: Section }) {
  const { title, rows, shape, charts, sql, id } = section;
  return (
    <Panel
      title={title}
      state={{ name: rows.length === 0 ? 'empty' : 'live' }}
      empty="Nothing in this range."
      className="shrink-0"
      aside={<SqlReceipt sql={sql} note="The rows of this section are its answer." />}
    >
      <div data-section={id}>
        {charts.map(chart => (
          <Drawn key={`${chart.kind} ${chart.title} ${chart.y}`} chart={chart} section={section} />
        ))}
        {shape === 'values' ? <Values section={section} /> : <Rows section={section} />}
      </div>
    </Panel>
  );
}

function Values({ section: { columns, rows } }: { section: Section }) {
  const row = rows[0] ?? {};
  return (
    <dl className="flex flex-wrap gap-x-8 gap-y-2 px-3 pb-3">
      {columns.map(column => (
        <div key={column.name}>
          <dt className="text-label text-muted">{headingOf(column)}</dt>
          <dd className="text-section">{shownValue(column, row[column.name])}</dd>
        </div>
      ))}
    </dl>
  );
}

function Rows({ section: { columns, rows, title } }: { section: Section }) {
  const [isWhole, setWhole] = useState(false);
  const shown = isWhole ? rows : rows.slice(0, ROWS_FIRST);
  return (
    <>
      <div className="overflow-x-auto px-3 pb-2" tabIndex={0} role="region" aria-label={`${title}, table`}>
        <table className="text-label">
          <thead className="text-left text-muted">
            <tr>
              {columns.map(column => (
                <th
                  key={column.name}
                  className={cn('pr-4 align-bottom font-normal', isFigure(column) && 'text-right')}
                >
                  {headingOf(column)}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {shown.map((row, at) => (
              // biome-ignore lint/suspicious/noArrayIndexKey: rows stand still, and have no key of their own.
              <tr key={at} className="border-t border-line">
                {columns.map(column => (
                  <td
                    key={column.name}
                    className={cn(
                      'max-w-96 pr-4 align-top break-words',
                      isFigure(column) && 'text-right whitespace-nowrap',
                      column.role === 'time' && 'whitespace-nowrap',
                    )}
                  >
                    {shownValue(column, row[column.name])}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {rows.length > ROWS_FIRST && (
        <Button kind="quiet" className="mx-3 mb-2 h-6" onClick={() => setWhole(!isWhole)}>
          {isWhole ? `Only the first ${ROWS_FIRST}` : `All ${formatNumber(rows.length)} rows`}
        </Button>
      )}
    </>
  );
}

function Drawn({ chart, section }: { chart: ReportChart; section: Section }) {
  const drawing = drawingOf(chart, section);
  if (drawing === null) return null;
  const { bars, y, part, times, values, parts } = drawing;
  if (chart.kind === 'bars')
    return <Bars title={chart.title} part={part === null ? null : headingOf(part)} bars={bars} />;
  const kind = chart.kind === 'line' ? 'line' : 'bars';
  const series: Series[] = [
    { label: headingOf(y), values, colour: 0, kind },
    ...(part === null
      ? []
      : [{ label: headingOf(part), values: parts, colour: 'critical' as const, kind } as Series]),
  ];
  return (
    <div className="h-48 shrink-0">
      <Chart times={times} series={series} unit={y.unit ?? ''} summary={`${chart.title} over time.`} />
    </div>
  );
}

function Bars({ title, part, bars }: { title: string; part: string | null; bars: readonly Bar[] }) {
  return (
    <figure className="px-3 pb-2">
      <figcaption className="pb-1 text-label text-muted">
        {title}
        {part !== null && (
          <span className="ml-3 inline-flex items-center gap-1">
            <span className="inline-block h-2 w-3.5 rounded-sm bg-critical" aria-hidden="true" /> {part}
          </span>
        )}
      </figcaption>
      <ul>
        {bars.map(({ label, value, share, part: of, partValue }, at) => (
          <li
            // biome-ignore lint/suspicious/noArrayIndexKey: rows may have the same label.
            key={at}
            className="grid grid-cols-[minmax(60px,240px)_minmax(40px,1fr)_minmax(72px,auto)] items-center gap-2"
          >
            <span className="truncate text-right text-muted" title={label}>
              {label}
            </span>
            <span
              className="flex h-3.5 overflow-hidden rounded-sm"
              style={{ width: `${100 * share}%`, background: 'var(--series-1)' }}
              title={partValue}
            >
              {of !== null && <span className="bg-critical" style={{ width: `${100 * of}%` }} />}
            </span>
            <span className="text-right whitespace-nowrap">{value}</span>
          </li>
        ))}
      </ul>
    </figure>
  );
}
