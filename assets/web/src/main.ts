import { mount } from 'svelte';
import App from './App.svelte';
import './styles/base.css';
import { place } from './state/place.svelte';
import { rooms } from './state/rooms.svelte';
import { session } from './state/session.svelte';
import { settings } from './state/settings.svelte';

settings.start();
place.start();
rooms.start();
void session.start();

const target = document.getElementById('app');
if (target) {
  mount(App, { target });
}
