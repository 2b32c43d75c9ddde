// The geometry of cutting a picture to a frame: the picture covers the frame at `zoom` 1, can be drawn larger, and be moved as far as it
// still covers. All in pixels of the frame; `x`, `y` is where the picture's middle stands from the frame's middle.

export interface Size {
  width: number;
  height: number;
}

export interface View {
  x: number;
  y: number;
  zoom: number;
}

export const ZOOM_LIMIT = 5;

/** Pixels of the frame that one pixel of the picture takes. */
export function scaleOf(picture: Size, frame: Size, zoom: number): number {
  return Math.max(frame.width / picture.width, frame.height / picture.height) * zoom;
}

/** The nearest view that leaves no part of the frame empty. */
export function held(picture: Size, frame: Size, view: View): View {
  const zoom = Math.min(ZOOM_LIMIT, Math.max(1, view.zoom));
  const scale = scaleOf(picture, frame, zoom);
  const play = (whole: number, part: number): number => Math.max(0, (whole * scale - part) / 2);
  const within = (value: number, limit: number): number => Math.min(limit, Math.max(-limit, value));
  return { x: within(view.x, play(picture.width, frame.width)), y: within(view.y, play(picture.height, frame.height)), zoom };
}

/** What of the picture is seen, in its own pixels. */
export function cutOf(picture: Size, frame: Size, view: View): { x: number; y: number; width: number; height: number } {
  const scale = scaleOf(picture, frame, view.zoom);
  const [width, height] = [frame.width / scale, frame.height / scale];
  return { x: picture.width / 2 - view.x / scale - width / 2, y: picture.height / 2 - view.y / scale - height / 2, width, height };
}
