/**
 * Where the page begins: one store, one stream, one tree of components.
 */
import { createRoot } from 'react-dom/client';
import { createStore } from '../api/store';
import { startLive } from '../api/stream';
import { LiveProvider } from '../shared/live';
import '../shared/base.css';
import { App } from './App';
import { Boundary } from './Boundary';
import { FEATURED_VIEWS } from './layout';

/** A page that nobody looks at this long gives its connection back; a browser has only six per server. */
const REST_AFTER_MS = 30_000;

const store = createStore();
const live = startLive(store, FEATURED_VIEWS);

let resting: ReturnType<typeof setTimeout> | undefined;
document.addEventListener('visibilitychange', () => {
  clearTimeout(resting);
  if (document.hidden) resting = setTimeout(() => live.rest(), REST_AFTER_MS);
  else live.wake();
});

const root = document.getElementById('root');
if (root === null) throw new Error('index.html has no element "root"');
createRoot(root).render(
  <Boundary>
    <LiveProvider store={store} live={live}>
      <App />
    </LiveProvider>
  </Boundary>,
);
