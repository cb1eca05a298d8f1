// The view of the zone on the screen, and the gestures that change it: drag, wheel, pinch, tap.

const TAP_PX = 7;
const EASE_PER_S = 11;
const EDGE_PX = 70;
/** The room for one player in the picture at first: side by side, at the mean density of the zone. */
const ROOM_PX = 76;

/** A view of the zone: the place `x, y` stands in the middle of the part of the canvas that no panel covers. */
export class Camera {
  constructor() {
    Object.assign(this, { x: 0, y: 0, scale: 1, width: 1, height: 1, middleX: 0, middleY: 0 });
    this.aim = { x: 0, y: 0, scale: 1 };
    this.zone = { width: 1, height: 1 };
    this.isFree = false;
  }

  /** Whether this zone is as large as the one that is shown. */
  fits({ width, height }) {
    return this.zone.width === Math.max(1, width) && this.zone.height === Math.max(1, height);
  }

  /** The size of the canvas, and of what covers its edges. */
  resize(width, height, { left = 0, top = 0, right = 0, bottom = 0 } = {}) {
    Object.assign(this, { width, height });
    this.open = { width: Math.max(60, width - left - right), height: Math.max(60, height - top - bottom) };
    this.middleX = left + this.open.width / 2;
    this.middleY = top + this.open.height / 2;
  }

  get fit() {
    return 0.94 * Math.min(this.open.width / this.zone.width, this.open.height / this.zone.height);
  }

  /** Shows a zone from this place: a part of it in a crowd, so that single players can be told apart, else all of it. */
  show(zone, crowd, place, isFree) {
    this.zone = { width: Math.max(1, zone.width), height: Math.max(1, zone.height) };
    const density = crowd / (this.zone.width * this.zone.height);
    const near = ROOM_PX * Math.sqrt(density);
    // A player on a narrow screen need not see all at once.
    const cover = isFree
      ? 1
      : Math.min(1.8, Math.max(this.open.width / this.zone.width, this.open.height / this.zone.height) / this.fit);
    this.aim.scale = Math.max(this.fit * cover, Math.min(near, 60 * this.fit));
    this.isFree = isFree;
    this.look(...place);
  }

  /** Looks at a place, but not far over the edge of the zone. */
  look(x, y) {
    const clamp = (value, size, open) => {
      const reach = (open / 2 - EDGE_PX) / this.aim.scale;
      return size * this.aim.scale <= open ? size / 2 : Math.max(reach, Math.min(size - reach, value));
    };
    this.aim.x = clamp(x, this.zone.width, this.open.width);
    this.aim.y = clamp(y, this.zone.height, this.open.height);
  }

  toScreen(x, y) {
    return [(x - this.x) * this.scale + this.middleX, (y - this.y) * this.scale + this.middleY];
  }

  toZone(x, y) {
    return [(x - this.middleX) / this.scale + this.x, (y - this.middleY) / this.scale + this.y];
  }

  /** Moves towards its aim. */
  step(seconds, isAtOnce) {
    const share = isAtOnce ? 1 : 1 - Math.exp(-seconds * EASE_PER_S);
    this.x += (this.aim.x - this.x) * share;
    this.y += (this.aim.y - this.y) * share;
    this.scale *= (this.aim.scale / this.scale) ** share;
  }

  jump() {
    Object.assign(this, this.aim);
  }

  /** Zooms in or out around a place on the screen, by default the middle. */
  zoom(factor, x = this.middleX, y = this.middleY) {
    const before = this.aim.scale;
    this.aim.scale = Math.max(this.fit * 0.6, Math.min(before * factor, this.fit * 120, 400));
    if (this.isFree) {
      const share = 1 - before / this.aim.scale;
      this.aim.x += ((x - this.middleX) / before) * share;
      this.aim.y += ((y - this.middleY) / before) * share;
    }
  }

  pan(dx, dy) {
    this.isFree = true;
    this.look(this.aim.x - dx / this.scale, this.aim.y - dy / this.scale);
  }
}

/** Calls `onTap(x, y, event)` for a tap or a click; a drag pans, two fingers and the wheel zoom. */
export function listenToGestures(canvas, camera, onTap) {
  const fingers = new Map();
  let isTap = false;
  let spread = 0;

  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, { x: event.clientX, y: event.clientY, fromX: event.clientX, fromY: event.clientY });
    isTap = fingers.size === 1 && event.button === 0;
    spread = 0;
  });
  canvas.addEventListener("pointermove", (event) => {
    const finger = fingers.get(event.pointerId);
    if (!finger) return;
    const [dx, dy] = [event.clientX - finger.x, event.clientY - finger.y];
    if (isTap && Math.hypot(event.clientX - finger.fromX, event.clientY - finger.fromY) < TAP_PX) return;
    isTap = false;
    Object.assign(finger, { x: event.clientX, y: event.clientY });
    camera.pan(dx / fingers.size, dy / fingers.size);
    if (fingers.size === 2) {
      const [one, other] = fingers.values();
      const now = Math.hypot(one.x - other.x, one.y - other.y);
      if (spread) camera.zoom(now / spread, (one.x + other.x) / 2, (one.y + other.y) / 2);
      spread = now;
    }
  });
  const lift = (event) => {
    if (fingers.delete(event.pointerId) && isTap && event.type === "pointerup")
      onTap(event.offsetX, event.offsetY, event);
    isTap = false;
    spread = 0;
  };
  canvas.addEventListener("pointerup", lift);
  canvas.addEventListener("pointercancel", lift);
  canvas.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      camera.zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0016)), event.offsetX, event.offsetY);
    },
    { passive: false },
  );
}
