import { mount } from 'svelte';
import App from './App.svelte';
import { words } from './lib/i18n.svelte';
import { fetchWords } from './lib/languages';
import './styles/base.css';
import { network } from './state/network.svelte';
import { matchRoute } from './routes';
import { place } from './state/place.svelte';
import { rooms } from './state/rooms.svelte';
import { session } from './state/session.svelte';
import { settings } from './state/settings.svelte';
import { worker } from './state/worker.svelte';

settings.start();
place.start();
network.start();
rooms.start();

// While the server is asked who is here, the page that will be shown is fetched; its data, as soon as that is known.
const first = matchRoute(place.path);
const isExpected = session.isExpected;
void session.start(() => first.route.ahead?.(first.params));
if (isExpected) {
  first.route.load().catch(() => {}); // the shell loads it again and says what is wrong
}
void worker.start();

// English is here at once; another language is waited for, so that nobody reads a page that changes its tongue.
const target = document.getElementById('app');
void words.start(fetchWords).finally(() => target && mount(App, { target }));
