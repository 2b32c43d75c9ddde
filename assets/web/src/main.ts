import { mount } from 'svelte';
import App from './App.svelte';
import { words } from './lib/i18n.svelte';
import { fetchWords } from './lib/languages';
import './styles/base.css';
import { network } from './state/network.svelte';
import { place } from './state/place.svelte';
import { rooms } from './state/rooms.svelte';
import { session } from './state/session.svelte';
import { settings } from './state/settings.svelte';
import { worker } from './state/worker.svelte';

settings.start();
place.start();
network.start();
rooms.start();
void session.start();
void worker.start();

// English is here at once; another language is waited for, so that nobody reads a page that changes its tongue.
const target = document.getElementById('app');
void words.start(fetchWords).finally(() => target && mount(App, { target }));
