/** Dragging a free host onto the ring with any pointer. The keyboard does the same by its "Join…" button. */
import { onBeforeUnmount, shallowRef } from 'vue';
import type { Ref, ShallowRef } from 'vue';

export interface HostDrag {
  readonly hostId: string;
  readonly name: string;
  /** Of the pointer, in the window. */
  readonly x: number;
  readonly y: number;
  /** It is over the ring: letting go now drops it there. */
  readonly over: boolean;
}

/** A press becomes a drag when the pointer has moved this far, in CSS pixels. */
const THRESHOLD = 5;

/** `target` is where a drop counts; `onDrop` is called with the host's id. */
export function useHostDrag(
  target: Readonly<Ref<HTMLElement | null>>,
  onDrop: (hostId: string) => void,
): { drag: ShallowRef<HostDrag | null>; press: (event: PointerEvent, hostId: string, name: string) => void } {
  const drag = shallowRef<HostDrag | null>(null);
  let end: () => void = () => undefined;

  function press(event: PointerEvent, hostId: string, name: string): void {
    if (event.button !== 0 || !event.isPrimary) return;
    end();
    const { pointerId, clientX: startX, clientY: startY } = event;

    const move = (moved: PointerEvent): void => {
      if (moved.pointerId !== pointerId) return;
      const { clientX: x, clientY: y } = moved;
      if (drag.value === null && Math.hypot(x - startX, y - startY) < THRESHOLD) return;
      drag.value = { hostId, name, x, y, over: isOver(target.value, x, y) };
    };
    const up = (lifted: PointerEvent): void => {
      if (lifted.pointerId !== pointerId) return;
      const dropped = drag.value !== null && isOver(target.value, lifted.clientX, lifted.clientY);
      end();
      if (dropped) onDrop(hostId);
    };
    const cancel = (): void => end();
    const key = (pressed: KeyboardEvent): void => {
      if (pressed.key === 'Escape') end();
    };
    end = () => {
      drag.value = null;
      window.removeEventListener('pointermove', move);
      window.removeEventListener('pointerup', up);
      window.removeEventListener('pointercancel', cancel);
      window.removeEventListener('keydown', key);
      end = () => undefined;
    };
    window.addEventListener('pointermove', move);
    window.addEventListener('pointerup', up);
    window.addEventListener('pointercancel', cancel);
    window.addEventListener('keydown', key);
  }

  onBeforeUnmount(() => end());
  return { drag, press };
}

function isOver(element: HTMLElement | null, x: number, y: number): boolean {
  if (element === null) return false;
  const { left, right, top, bottom } = element.getBoundingClientRect();
  return x >= left && x <= right && y >= top && y <= bottom;
}
