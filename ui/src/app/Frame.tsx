/**
 * What is around every page: where one can go, whether what one sees is live and of when it is, and the keyboard.
 */
import { Link, Outlet, useLocation } from '@tanstack/react-router';
import { BookOpen, Keyboard, LogOut, Search } from 'lucide-react';
import { Fragment, useCallback, useState } from 'react';
import { docsUrl } from '../shared/docs';
import { useLive, useTopic } from '../shared/live';
import { Shape } from '../shared/mark';
import { useRange, useTrail } from '../shared/nav';
import { useSignOut, useUser } from '../shared/session';
import { Button } from '../shared/ui/button';
import { Tooltip } from '../shared/ui/tooltip';
import { useZone } from '../shared/zone';
import { Bar } from './Bar';
import { CommandPalette } from './CommandPalette';
import { Help } from './Help';
import { useKeyboard } from './keyboard';
import { useHasRange } from './links';
import { PAGES } from './pages';
import { ThemeButton } from './ThemeButton';
import { useTitle } from './title';
import { Waves } from './Waves';

export function Frame() {
  const [help, setHelp] = useState(false);
  const [palette, setPalette] = useState(false);
  const [showHelp, showPalette] = [
    useCallback(() => setHelp(true), []),
    useCallback(() => setPalette(true), []),
  ];
  const zone = useZone();
  useTopic('metrics');
  useTopic('pipeline');
  useTitle();
  return (
    <div className="flex min-h-full flex-col md:h-full">
      <Shortcuts onHelp={showHelp} onPalette={showPalette} />
      <a
        href="#main"
        className="sr-only focus:not-sr-only focus:absolute focus:z-50 focus:bg-panel focus:p-2"
      >
        Skip to the page
      </a>
      <header className="shrink-0">
        <div className="flex shrink-0 flex-wrap items-center gap-x-2 border-b border-line px-3 sm:h-11 sm:flex-nowrap sm:gap-x-4 sm:px-4">
          <Link to="/" className="flex items-center gap-2 font-semibold" aria-label="tidelake, Overview">
            <Waves />
            <span className="text-control">tidelake</span>
          </Link>
          <Navigation />
          <div className="ml-auto flex items-center gap-1">
            <Tooltip text="Command palette (Ctrl or Cmd + K)">
              <Button
                kind="quiet"
                className="justify-center"
                aria-label="Command palette, Ctrl K"
                onClick={showPalette}
              >
                <Search size={16} aria-hidden="true" />
                <span className="hidden lg:inline">Ctrl K</span>
              </Button>
            </Tooltip>
            <Tooltip text="Keys (?)">
              <Button kind="quiet" className="justify-center" aria-label="Keys" onClick={showHelp}>
                <Keyboard size={16} aria-hidden="true" />
              </Button>
            </Tooltip>
            <Tooltip text="Documentation of this version">
              <a
                href={docsUrl()}
                target="_blank"
                rel="noopener"
                aria-label="Documentation"
                className="inline-flex h-7 items-center justify-center rounded px-2 text-accent hover:bg-hover max-md:h-10 max-md:w-10"
              >
                <BookOpen size={16} aria-hidden="true" />
              </a>
            </Tooltip>
            <ThemeButton />
            <SignOut />
          </div>
        </div>
        <Bar />
      </header>
      <Reconnecting />
      <main id="main" className="min-h-0 flex-1">
        <PageName />
        {/* Drawn anew in another zone, since times are written all over it. */}
        <Fragment key={zone}>
          <Outlet />
        </Fragment>
      </main>
      <Help open={help} onClose={() => setHelp(false)} />
      <CommandPalette open={palette} onClose={() => setPalette(false)} />
    </div>
  );
}

/** Who is signed in, and the way out; nothing on a server without users. */
function SignOut() {
  const user = useUser();
  const { mutate } = useSignOut();
  if (user === null) return null;
  return (
    <Tooltip text={`Signed in as ${user.name}, role ${user.role}`}>
      <Button
        kind="quiet"
        className="justify-center"
        aria-label={`Sign out ${user.name}`}
        onClick={() => mutate()}
      >
        <span className="hidden max-w-32 truncate lg:inline">{user.name}</span>
        <LogOut size={16} aria-hidden="true" />
      </Button>
    </Tooltip>
  );
}

/** The keys of every page, apart from what is drawn: the range moves on each second. */
function Shortcuts({ onHelp, onPalette }: { onHelp: () => void; onPalette: () => void }) {
  const range = useRange();
  useKeyboard({ onHelp, onPalette, range: useHasRange() ? range : null });
  useTrail();
  return null;
}

function PageName() {
  const { pathname } = useLocation();
  const page = PAGES.find(({ to }) => to !== '/' && pathname.endsWith(to)) ?? PAGES[0];
  return <h1 className="sr-only">{page.label}</h1>;
}

function Navigation() {
  const broken = useLive(state => state.pipeline !== null && state.pipeline.overall !== 'ok');
  return (
    <nav
      aria-label="Pages"
      className="order-last flex h-10 w-full min-w-0 overflow-x-auto sm:order-none sm:h-full sm:w-auto"
    >
      {PAGES.map(({ to, label }) => (
        <Link
          key={to}
          to={to}
          activeOptions={{ exact: true, includeSearch: false }}
          className="flex min-w-10 items-center justify-center gap-1 border-b-2 border-transparent px-1.5 text-muted hover:text-text sm:px-3"
          activeProps={{ className: 'border-accent! text-text!' }}
        >
          {label}
          {to === '/pipeline' && broken && <Shape tone="warn" />}
        </Link>
      ))}
    </nav>
  );
}

/** One banner for the whole page; the panels below keep what they have. */
function Reconnecting() {
  const link = useLive(state => state.link);
  if (link.status !== 'reconnecting') return null;
  return (
    <p
      role="alert"
      className="flex flex-wrap items-center gap-2 border-b border-line bg-panel px-4 py-1 text-critical"
    >
      <Shape tone="critical" />
      <span>No connection: {link.cause}.</span>
      <span className="text-muted">Showing the last known data; reconnecting automatically.</span>
    </p>
  );
}
