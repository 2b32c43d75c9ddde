// English of the area "home"; whoever says these words imports this file, so that they arrive in the same chunk.
import words from '../../../../locales/en/home.json';
import { learn } from '../i18n.svelte';

learn('home', words);
