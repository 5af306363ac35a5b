/** What the server knows of the lake, its upkeep and the jobs that do it; and facts of them as a few words each. */
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { answerOf, api } from '../../api/client';
import type { Schemas } from '../../api/wire';
import { formatAge, formatLength, formatNumber, quantifyBytes } from '../../shared/format';
import type { Tone } from '../../shared/mark';

const LAKE = ['lake'];
const JOBS = ['jobs'];
const AGAIN_MS = 15_000;
const RUNNING_AGAIN_MS = 1_000;
/** A table with more small files than this is slow to read; the engine puts them together once a day at most. */
const SMALL_FILES_MAX = 500;

export type Lake = Schemas['LakeState'];
export type Table = Schemas['LakeTableState'];
export type Job = Schemas['Job'];

export function useLake() {
  return useQuery({
    queryKey: LAKE,
    queryFn: () => answerOf(api.GET('/api/v1/lake')),
    refetchInterval: AGAIN_MS,
  });
}

/** Jobs of this page: those of the lake. A job that has ended changed the lake. */
export function useJobs() {
  return useQuery({
    queryKey: JOBS,
    queryFn: async () => {
      const { jobs } = await answerOf(api.GET('/api/v1/jobs'));
      return jobs;
    },
    refetchInterval: ({ state }) => (state.data?.some(isRunning) ? RUNNING_AGAIN_MS : AGAIN_MS),
  });
}

export function isRunning({ state }: Pick<Job, 'state'>): boolean {
  return state === 'running';
}

function useStarted() {
  const client = useQueryClient();
  return () => {
    void client.invalidateQueries({ queryKey: JOBS });
    void client.invalidateQueries({ queryKey: LAKE });
  };
}

export function useOptimize() {
  const onSettled = useStarted();
  return useMutation({
    mutationFn: (body: { tables: string[]; zorder: string[] }) =>
      answerOf(api.POST('/api/v1/lake/optimize', { body: { ...body, where: {} } })),
    onSettled,
  });
}

export function useVacuum() {
  const onSettled = useStarted();
  return useMutation({
    mutationFn: (body: { dry_run: boolean; retention_hours: number }) =>
      answerOf(api.POST('/api/v1/lake/vacuum', { body })),
    onSettled,
  });
}

export function useCancel() {
  const onSettled = useStarted();
  return useMutation({
    mutationFn: (job: string) => answerOf(api.DELETE('/api/v1/jobs/{job}', { params: { path: { job } } })),
    onSettled,
  });
}

export function bytesOf(bytes: number | null | undefined): string {
  const { value, unit } = quantifyBytes(bytes);
  return `${value} ${unit}`.trim();
}

export function counted(count: number | null | undefined, word: string): string {
  return `${formatNumber(count)} ${word}${count === 1 ? '' : 's'}`;
}

/** Hours as days, where they are whole days. */
export function hoursOf(hours: number): string {
  return formatLength(hours * 3_600_000);
}

/** How many files a day's commits write, and by how many there are more for readers after it. */
export function paceOf({ files_written_per_day, files_growth_per_day }: Table): string {
  if (files_written_per_day == null || files_growth_per_day == null) return '';
  const sign = files_growth_per_day > 0 ? '+' : files_growth_per_day < 0 ? '−' : '±';
  return `${formatNumber(files_written_per_day)}, ${sign}${formatNumber(Math.abs(files_growth_per_day))}`;
}

/** Whether somebody should put its small files together. */
export function hasManySmall({ small_files }: Pick<Table, 'small_files'>): boolean {
  return (small_files ?? 0) > SMALL_FILES_MAX;
}

/** The lake in a line: whether somebody has to see to it. */
export function lakeSummary({ tables }: Pick<Lake, 'tables'>): { well: boolean; text: string } {
  const broken = tables.filter(({ problem }) => problem != null);
  if (broken.length > 0)
    return { well: false, text: `${broken.map(({ name }) => name).join(', ')} cannot be read` };
  const many = tables.filter(hasManySmall);
  const files = tables.reduce((sum, it) => sum + (it.file_count ?? 0), 0);
  const bytes = tables.reduce((sum, it) => sum + (it.bytes ?? 0), 0);
  const text = `${counted(tables.length, 'table')}, ${counted(files, 'file')}, ${bytesOf(bytes)}`;
  if (many.length === 0) return { well: true, text };
  return { well: false, text: `${text}; many small files in ${many.map(({ name }) => name).join(', ')}` };
}

type Done = Schemas['UpkeepDone'];

/** When it was last done, and how much it was. */
export function doneOf(done: Done | null | undefined, verb: string, now_ms: number): string | null {
  if (done == null) return null;
  const ago = `${formatAge(now_ms - Date.parse(done.at))} ago`;
  if (done.files === 0) return `${ago}, nothing to do`;
  return `${ago}, ${counted(done.files, 'file')} ${verb} (${bytesOf(done.bytes)})`;
}

const KINDS: Record<Job['kind'], string> = { optimize: 'Optimize', vacuum: 'Vacuum', train: 'Train' };

export function kindOf(job: Job): string {
  return job.vacuumed?.dry_run || (job.kind === 'vacuum' && job.command.includes('--dry-run'))
    ? 'Vacuum, dry run'
    : KINDS[job.kind];
}

export function toneOf({ state }: Pick<Job, 'state'>): Tone {
  return ({ running: 'live', done: 'ok', failed: 'critical', cancelled: 'quiet' } as const)[state];
}

/** What became of a job, or what it is at. */
export function outcomeOf(job: Job): string {
  if (job.state === 'running') return job.step ?? '';
  if (job.problem) return job.problem;
  if (job.state === 'cancelled') return 'what it had done stays';
  if (job.optimized != null) {
    if (job.optimized.length === 0)
      return 'nothing to do: files are as large, and in the order, that was asked for';
    return job.optimized
      .map(
        ({ table, files_before, files_after, bytes_before, bytes_after }) =>
          `${table}: ${counted(files_before, 'file')} (${bytesOf(bytes_before)}) became ${formatNumber(files_after)} (${bytesOf(bytes_after)})`,
      )
      .join('; ');
  }
  if (job.vacuumed != null) {
    const { dry_run, files, bytes, retention_hours } = job.vacuumed;
    const what = `${counted(files, 'file')}, ${bytesOf(bytes)}`;
    return `${what} ${dry_run ? 'could go' : 'deleted'}; versions of ${hoursOf(retention_hours)} stay readable`;
  }
  if (job.trained != null) return `${String(job.trained.name)}, version ${String(job.trained.version)}`;
  return '';
}
