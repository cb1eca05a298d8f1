// The map of the whole zone: everybody, the part in view, and the own player. A click on it looks there.

const DRAWN_EVERY_MS = 120;

export class Overview {
  /** `stage` has the zone, the crowd, the camera and the sprites. */
  constructor(canvas, stage) {
    Object.assign(this, { canvas, stage, drawnAt: -Infinity });
    canvas.addEventListener("pointerdown", (event) => {
      const { zone, camera } = stage;
      if (!zone) return;
      camera.isFree = true;
      camera.look(
        (event.offsetX / canvas.clientWidth) * zone.width,
        (event.offsetY / canvas.clientHeight) * zone.height,
      );
    });
  }

  draw(now) {
    if (now - this.drawnAt < DRAWN_EVERY_MS) return;
    this.drawnAt = now;
    const {
      canvas,
      stage: { zone, crowd, camera, sprites, density, picture },
    } = this;
    canvas.style.aspectRatio = `${zone.width || 1} / ${zone.height || 1}`;
    const [width, height] = [Math.round(canvas.clientWidth * density), Math.round(canvas.clientHeight * density)];
    if (!width || !height) return;
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const context = canvas.getContext("2d");
    const [kx, ky] = [width / (zone.width || 1), height / (zone.height || 1)];
    context.clearRect(0, 0, width, height);
    const paint = (slots, colour, side) => {
      context.fillStyle = colour;
      for (const slot of slots)
        context.fillRect((crowd.x[slot] * kx - side / 2) | 0, (crowd.y[slot] * ky - side / 2) | 0, side, side);
    };
    if (!picture)
      crowd.people.forEach((slots, colour) => paint(slots, sprites.crowd[colour], Math.round(1.6 * density)));
    crowd.things.forEach((slots, kind) => paint(slots, sprites.kinds[kind % 6], Math.round(2.6 * density)));
    context.strokeStyle = sprites.theme.ink;
    context.lineWidth = density;
    const [left, top] = camera.toZone(0, 0).map((value) => Math.max(0, value));
    const [right, bottom] = camera.toZone(camera.width, camera.height);
    context.strokeRect(
      left * kx,
      top * ky,
      (Math.min(zone.width, right) - left) * kx,
      (Math.min(zone.height, bottom) - top) * ky,
    );
    if (!zone.me || picture) return;
    context.fillStyle = sprites.theme.accent;
    context.beginPath();
    context.arc(crowd.x[zone.me.slot] * kx, crowd.y[zone.me.slot] * ky, 4 * density, 0, 7);
    context.fill();
    context.lineWidth = 1.5 * density;
    context.stroke();
  }
}
