/** Where everything on the ring stands. Pure: sizes in CSS pixels, angles in degrees, 0 at the top, clockwise. */

export interface Size {
  readonly width: number;
  readonly height: number;
}

/** How much a node's card shows. */
export type Density = 'full' | 'compact' | 'dense';

export interface Place {
  readonly angle: number;
  readonly x: number;
  readonly y: number;
}

export interface RingLayout {
  readonly centre: { readonly x: number; readonly y: number };
  readonly radius: number;
  readonly density: Density;
  readonly places: readonly Place[];
}

export const CARD: Readonly<Record<Density, Size>> = {
  full: { width: 184, height: 92 },
  compact: { width: 136, height: 52 },
  dense: { width: 92, height: 28 },
};

const LARGEST_RADIUS = 300;
const MARGIN = 20;
/** Between two cards at least. */
const BETWEEN = 10;
/** How far a staggered card stands off the ring. */
const STAGGER = 18;
/** From the middle to the nearest edge of a card: room for the words there. */
const MIDDLE = 92;

/** Places `count` nodes evenly, the first at the top, with the largest cards that do not touch. */
export function layOut(count: number, stage: Size): RingLayout {
  const densities: readonly Density[] = ['full', 'compact', 'dense'];
  for (const density of densities) {
    const layout = withDensity(count, stage, density);
    if (fits(layout)) return layout;
  }
  return staggered(withDensity(count, stage, 'dense'));
}

/** Every other card a little outwards, the rest a little inwards: for rings of more than twenty. */
function staggered(layout: RingLayout): RingLayout {
  const places = layout.places.map(({ angle }, index) =>
    place(layout.centre, layout.radius + (index % 2 === 0 ? STAGGER : -STAGGER), angle),
  );
  return { ...layout, places };
}

function withDensity(count: number, stage: Size, density: Density): RingLayout {
  const card = CARD[density];
  const centre = { x: stage.width / 2, y: stage.height / 2 };
  const room = Math.min((stage.width - card.width) / 2, (stage.height - card.height) / 2) - MARGIN;
  const radius = Math.max(80, Math.min(LARGEST_RADIUS, room));
  const places = Array.from({ length: count }, (_, index) => place(centre, radius, (index * 360) / count));
  return { centre, radius, density, places };
}

function place(centre: { readonly x: number; readonly y: number }, radius: number, angle: number): Place {
  return { angle, ...pointAt(centre, radius, angle) };
}

export function pointAt(
  centre: { readonly x: number; readonly y: number },
  radius: number,
  angle: number,
): { x: number; y: number } {
  const turn = (angle * Math.PI) / 180;
  return { x: centre.x + radius * Math.sin(turn), y: centre.y - radius * Math.cos(turn) };
}

function fits({ places, centre, density }: RingLayout): boolean {
  const { width, height } = CARD[density];
  const apart = places.every((one, index) => {
    const next = places[(index + 1) % places.length];
    if (next === undefined || next === one) return true;
    return Math.abs(one.x - next.x) >= width + BETWEEN || Math.abs(one.y - next.y) >= height + BETWEEN;
  });
  // A card far above or below the middle may reach over it.
  const roomy = places.every(
    ({ x, y }) => Math.abs(x - centre.x) - width / 2 >= MIDDLE || Math.abs(y - centre.y) - height / 2 >= MIDDLE / 2,
  );
  return apart && roomy;
}

/** An SVG path clockwise from one angle to the next; equal angles make a whole round. */
export function arc(
  centre: { readonly x: number; readonly y: number },
  radius: number,
  from: number,
  to: number,
): string {
  const sweep = (to - from + 360) % 360 || 360;
  const middle = from + sweep / 2;
  const step = (angle: number): string => {
    const { x, y } = pointAt(centre, radius, angle);
    return `${x.toFixed(2)} ${y.toFixed(2)}`;
  };
  const r = radius.toFixed(2);
  return `M ${step(from)} A ${r} ${r} 0 0 1 ${step(middle)} A ${r} ${r} 0 0 1 ${step(to)}`;
}

/** How far out a line between two places is drawn, so that it leaves the words in the middle alone. */
const OUTWARDS = 0.8;

/** An SVG path inside the ring between two angles, and its middle. */
export function chord(
  centre: { readonly x: number; readonly y: number },
  radius: number,
  from: number,
  to: number,
): { path: string; middle: { x: number; y: number } } {
  const sweep = (to - from + 360) % 360;
  const between = sweep <= 180 ? from + sweep / 2 : from + sweep / 2 + 180;
  const [a, b] = [pointAt(centre, radius, from), pointAt(centre, radius, to)];
  const bend = pointAt(centre, radius * OUTWARDS, between);
  const middle = { x: (a.x + b.x) / 4 + bend.x / 2, y: (a.y + b.y) / 4 + bend.y / 2 };
  const words = ({ x, y }: { x: number; y: number }): string => `${x.toFixed(2)} ${y.toFixed(2)}`;
  return { path: `M ${words(a)} Q ${words(bend)} ${words(b)}`, middle };
}
