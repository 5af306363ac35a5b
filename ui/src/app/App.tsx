/**
 * The one page: what is this and is it fresh, is it well, six numbers, then the panels.
 */
import { Anomalies } from '../features/anomalies/Anomalies';
import { HealthStrip } from '../features/health/HealthStrip';
import { LiveLog } from '../features/log/LiveLog';
import { MetricTiles } from '../features/metrics/MetricTiles';
import { TopEndpoints } from '../features/traffic/TopEndpoints';
import { TrafficChart } from '../features/traffic/TrafficChart';
import { ViewBrowser } from '../features/views/ViewBrowser';
import { useLive } from '../shared/live';
import { Header } from './Header';
import { FEATURED_VIEWS, layoutFor } from './layout';
import './app.css';

export function App() {
  const { traffic, endpoints, anomalies, browser, roomy } = layoutFor(useLive(state => state.catalog));
  const views = <ViewBrowser featured={FEATURED_VIEWS} roomy={roomy} />;
  return (
    <div className="app">
      <Header />
      <main className="main">
        <HealthStrip />
        <MetricTiles />
        <div className="columns">
          <div className="column">
            {traffic && <TrafficChart />}
            {browser === 'left' && views}
            <LiveLog />
          </div>
          <div className="column">
            {endpoints && <TopEndpoints />}
            {anomalies && <Anomalies />}
            {browser === 'right' && views}
          </div>
        </div>
      </main>
    </div>
  );
}
