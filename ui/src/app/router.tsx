/**
 * Addresses and their pages. All state of a page is in its search; what it needs of others is loaded when it is opened.
 *
 * Each address has one part, so that the page works in any folder of a server.
 */
import { createRootRoute, createRoute, createRouter } from '@tanstack/react-router';
import { BASE } from '../api/client';
import { Overview } from '../features/overview/Overview';
import { part } from '../shared/part';
import { readSearch } from '../shared/search';
import { Frame } from './Frame';
import { NotFound } from './NotFound';

const Logs = part(async () => (await import('../features/logs/Logs')).Logs);
const Query = part(async () => (await import('../features/query/QueryPage')).QueryPage);
const Boards = part(async () => (await import('../features/boards/BoardsPage')).BoardsPage);
const Anomalies = part(async () => (await import('../features/anomalies/Anomalies')).Anomalies);
const Pipeline = part(async () => (await import('../features/pipeline/PipelinePage')).PipelinePage);
const Reports = part(async () => (await import('../features/reports/ReportsPage')).ReportsPage);

export function makeRouter() {
  const root = createRootRoute({ component: Frame, notFoundComponent: NotFound, validateSearch: readSearch });
  const page = <Path extends string>(path: Path, component: Parameters<typeof createRoute>[0]['component']) =>
    createRoute({ getParentRoute: () => root, path, component });
  return createRouter({
    routeTree: root.addChildren([
      page('/', Overview),
      page('/logs', Logs),
      page('/query', Query),
      page('/boards', Boards),
      page('/anomalies', Anomalies),
      page('/pipeline', Pipeline),
      page('/reports', Reports),
    ]),
    basepath: new URL(BASE).pathname,
    // Values stand in the address as people would write them.
    parseSearch: text => Object.fromEntries(new URLSearchParams(text)),
    stringifySearch: search => {
      const entries = Object.entries(search).filter(([, value]) => value !== undefined);
      const query = new URLSearchParams(entries.map(([name, value]) => [name, String(value)])).toString();
      return query === '' ? '' : `?${query}`;
    },
  });
}
