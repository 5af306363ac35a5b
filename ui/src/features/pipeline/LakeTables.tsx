/** The stored tables with their versions; files and the newest versions of one on demand. */
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { answerOf, api } from '../../api/client';
import type { Pipeline, Schemas } from '../../api/wire';
import { formatDateTime, formatNumber, MISSING, quantifyBytes } from '../../shared/format';
import { useGo } from '../../shared/nav';
import { Button } from '../../shared/ui/button';
import { zoneName } from '../../shared/zone';

export function LakeTables({ pipeline }: { pipeline: Pipeline }) {
  const [open, setOpen] = useState<string | null>(null);
  const versions = Object.entries(pipeline.commit?.versions ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
  if (versions.length === 0) return <p className="px-3 pb-3 text-muted">No commits yet.</p>;
  return (
    <div className="px-3 pb-3">
      <ul className="flex flex-wrap gap-2">
        {versions.map(([name, version]) => (
          <li key={name}>
            <Button aria-expanded={open === name} onClick={() => setOpen(open === name ? null : name)}>
              {name} <span className="text-muted">v{version}</span>
            </Button>
          </li>
        ))}
      </ul>
      {open !== null && <TableDetails key={open} name={open} />}
    </div>
  );
}

/** What a version did, such as `WRITE: 1 200 rows, 2 files added, 1 taken out`. */
export function deedOf(it: Schemas['LakeVersion']): string {
  const { operation, rows_added, files_added, files_removed, bytes_added } = it;
  const size = quantifyBytes(bytes_added);
  const deeds = [
    rows_added != null && rows_added > 0 && `${formatNumber(rows_added)} rows`,
    files_added > 0 && `${formatNumber(files_added)} files added, ${size.value} ${size.unit}`,
    files_removed > 0 && `${formatNumber(files_removed)} taken out`,
  ].filter(Boolean);
  return deeds.length === 0 ? operation : `${operation}: ${deeds.join(', ')}`;
}

export function TableDetails({ name }: { name: string }) {
  const go = useGo();
  const { data, error } = useQuery({
    queryKey: ['lake table', name],
    queryFn: () => answerOf(api.GET('/api/v1/lake/tables/{table}', { params: { path: { table: name } } })),
    refetchInterval: 15_000,
  });
  if (error !== null) return <p role="alert">{error.message}</p>;
  if (data === undefined) return <p className="text-muted">Loading table history…</p>;
  const size = quantifyBytes(data.bytes);
  return (
    <div className="mt-2 flex flex-col gap-2">
      <p>
        Version {data.version}: {formatNumber(data.file_count)} files, {size.value} {size.unit}
        {data.rows != null && `, ${formatNumber(data.rows)} rows`}{' '}
        <Button
          kind="quiet"
          className="h-6"
          onClick={() => go({ q: `SELECT * FROM lake.${name} LIMIT 100` }, '/query')}
        >
          Show rows
        </Button>
      </p>
      <p className="font-mono text-label break-all text-muted">{data.location}</p>
      <div className="grid gap-4 md:grid-cols-2">
        <table className="text-label" data-versions>
          <caption className="text-left text-muted">newest versions, and what each did</caption>
          <tbody>
            {data.versions.map(it => (
              <tr key={it.version} title={it.by ?? undefined}>
                <td className="pr-3 align-top">v{it.version}</td>
                <td className="pr-3 align-top whitespace-nowrap">
                  {it.written ? `${formatDateTime(it.written)} ${zoneName()}` : MISSING}
                </td>
                <td className="text-muted">{deedOf(it)}</td>
              </tr>
            ))}
          </tbody>
        </table>
        <table className="text-label">
          <caption className="text-left text-muted">largest files</caption>
          <tbody>
            {data.files.slice(0, 20).map(file => {
              const { value, unit } = quantifyBytes(file.bytes);
              return (
                <tr key={file.path}>
                  <td className="max-w-64 truncate pr-3 font-mono" title={file.path}>
                    {file.path}
                  </td>
                  <td className="pr-3 text-right">
                    {value} {unit}
                  </td>
                  <td className="text-right">{formatNumber(file.rows)} rows</td>
                </tr>
              );
            })}
          </tbody>
        </table>
      </div>
    </div>
  );
}
