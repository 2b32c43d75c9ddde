// Runs before the first paint, outside the bundle because nothing inline may run: the look that this browser was last told
// for whoever is signed in here. src/state/settings.svelte.ts writes it down; `?safe=1` leaves one's own style sheet out.
(function () {
  'use strict';
  var root = document.documentElement;
  var look = {};
  try {
    look = JSON.parse(localStorage.getItem('troupe.look') || '{}') || {};
  } catch (error) {
    look = {};
  }
  var light = look.theme === 'light' || (look.theme !== 'dark' && matchMedia('(prefers-color-scheme: light)').matches);
  root.dataset.theme = light ? 'light' : 'dark';
  if (look.contrast === 'more' || matchMedia('(prefers-contrast: more)').matches) root.dataset.contrast = 'more';
  if (look.font >= 75 && look.font <= 200 && look.font !== 100) root.style.fontSize = look.font + '%';
  var css = look.person && localStorage.getItem('troupe.css.' + look.person);
  if (css && !/[?&]safe=1(&|$)/.test(location.search) && 'adoptedStyleSheets' in document) {
    var sheet = new CSSStyleSheet();
    sheet.replaceSync(css);
    document.adoptedStyleSheets = [sheet];
  }
})();
