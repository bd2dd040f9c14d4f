// The map on the page: view, layers, pointer and keyboard. Everything it says to the rest of the page is in degrees and fids.

import 'ol/ol.css';
import { defaults as defaultControls } from 'ol/control.js';
import { boundingExtent, buffer, type Extent } from 'ol/extent.js';
import DoubleClickZoom from 'ol/interaction/DoubleClickZoom.js';
import { defaults as defaultInteractions } from 'ol/interaction.js';
import OlMap from 'ol/Map.js';
import type MapBrowserEvent from 'ol/MapBrowserEvent.js';
import View from 'ol/View.js';
import { createBasemap } from './basemap.ts';
import { type Box, paddingBeside } from './beside.ts';
import { Cursors } from './cursors.ts';
import { FeatureLayers } from './features.ts';
import { toLonLat, toMercator } from './geometry.ts';
import { hit } from './hit.ts';
import { type Change, PreviewLayers } from './preview.ts';

/** Fingers in gloves are wide. */
const TOLERANCE_MOUSE_PX = 6;
const TOLERANCE_TOUCH_PX = 18;
const ZOOM_MAX = 22;
const FIT_ZOOM_MAX = 16;
const ANIMATION_MS = 250;
const WORLD_M = 2 * Math.PI * 6_378_137;
/** Room round what is fitted into the view. */
const FIT_PADDING_PX = 56;
const FIT_PADDING_SHARE = 0.04;

export interface MapEvents {
  /** A click or tap, and the feature there, if any. */
  click: (at: [lon: number, lat: number], fid: string | null) => void;
  /** Null when the pointer leaves the map. */
  pointer: (at: [lon: number, lat: number] | null) => void;
  /** The view has come to rest. */
  moved: (view: [west: number, south: number, east: number, north: number]) => void;
}

export class MapWidget {
  readonly features = new FeatureLayers();
  readonly #preview = new PreviewLayers();
  readonly cursors: Cursors;
  readonly #map: OlMap;
  readonly #target: HTMLElement;
  readonly #dispose: (() => void)[] = [];

  constructor(target: HTMLElement, events: MapEvents) {
    this.#target = target;
    const basemap = createBasemap();
    this.#map = new OlMap({
      target,
      layers: [...basemap.layers, ...this.features.layers, ...this.#preview.layers],
      controls: defaultControls({ attribution: false, rotate: false, zoom: false }),
      interactions: defaultInteractions({ altShiftDragRotate: false, pinchRotate: false }),
      view: new View({
        center: [0, 2_500_000],
        zoom: 2,
        maxZoom: ZOOM_MAX,
        multiWorld: true,
        enableRotation: false,
        showFullExtent: true,
      }),
    });
    this.cursors = new Cursors(this.#map);
    this.#map.on('click', (event) => this.#clicked(event, events));
    this.#map.on('pointermove', (event) => {
      events.pointer(toLonLat(event.coordinate));
    });
    const leave = () => events.pointer(null);
    target.addEventListener('pointerleave', leave);
    this.#map.on('moveend', () => events.moved(this.bounds()));
    this.#dispose.push(
      () => target.removeEventListener('pointerleave', leave),
      () => this.features.dispose(),
      () => this.#preview.dispose(),
      () => basemap.dispose(),
      () => this.#map.setTarget(undefined),
    );
  }

  dispose(): void {
    for (const dispose of this.#dispose.splice(0)) dispose();
  }

  /** West, south, east, north of the view; east may exceed 180. */
  bounds(): [number, number, number, number] {
    const [x1 = 0, y1 = 0, x2 = 0, y2 = 0] = this.#map.getView().calculateExtent();
    const [west, south] = toLonLat([x1, y1]);
    const [, north] = toLonLat([x2, y2]);
    const width = Math.min(360, ((x2 - x1) / WORLD_M) * 360);
    return [west, south, west + width, north].map((x) => Number(x.toFixed(5))) as [number, number, number, number];
  }

  centre(): [number, number] {
    return toLonLat(this.#map.getView().getCenter() ?? [0, 0]);
  }

  zoom(): number {
    return this.#map.getView().getZoom() ?? 0;
  }

  setView(lonLat: [number, number], zoom: number): void {
    const view = this.#map.getView();
    view.setCenter(toMercator(lonLat));
    view.setZoom(zoom);
  }

  zoomBy(steps: number): void {
    this.#map.getView().animate({ zoom: this.zoom() + steps, duration: ANIMATION_MS });
  }

  goTo(lonLat: [number, number]): void {
    this.#map.getView().animate({ center: toMercator(lonLat), duration: ANIMATION_MS });
  }

  /** Shows one feature, or all of them. False if there is nothing to show. */
  fit(fid?: string, animate = true): boolean {
    return this.#fit(this.features.extent(fid), animate);
  }

  /** Draws what an edit would change, in the place of what was drawn so before, and shows it beside `panel`, which lies on the map. */
  preview(changes: readonly Change[], panel: Box): void {
    this.#preview.show(changes);
    this.#target.dataset.preview = `${changes.length}`;
    this.#fit(this.#preview.extent(), true, paddingBeside(this.#target.getBoundingClientRect(), panel));
  }

  #fit(extent: Extent | null, animate: boolean, beside: readonly number[] = [0, 0, 0, 0]): boolean {
    if (!extent) return false;
    const padding = Math.min(FIT_PADDING_PX, this.#target.clientWidth * FIT_PADDING_SHARE);
    this.#map.getView().fit(inhabited(extent), {
      padding: beside.map((side) => side + padding),
      maxZoom: FIT_ZOOM_MAX,
      duration: animate ? ANIMATION_MS : 0,
    });
    return true;
  }

  /** Brings a feature into view if no part of it is there. */
  reveal(fid: string): void {
    const extent = this.features.extent(fid);
    if (!extent) return;
    const view = this.#map.getView().calculateExtent();
    const isVisible = this.features.within(view).some((feature) => feature.get('fid') === fid);
    if (!isVisible) this.fit(fid);
  }

  /** While points are added by clicking, a quick second click is a second point and no zoom. */
  setDoubleClickZoom(isOn: boolean): void {
    for (const interaction of this.#map.getInteractions().getArray()) {
      if (interaction instanceof DoubleClickZoom) interaction.setActive(isOn);
    }
  }

  focus(): void {
    this.#target.focus();
  }

  #clicked(event: MapBrowserEvent, events: MapEvents): void {
    const isTouch = (event.originalEvent as PointerEvent).pointerType === 'touch';
    const resolution = this.#map.getView().getResolution() ?? 1;
    const at = toLonLat(event.coordinate);
    const place = toMercator(at);
    const reach = buffer(boundingExtent([place]), resolution * (isTouch ? TOLERANCE_TOUCH_PX : TOLERANCE_MOUSE_PX));
    events.click(at, hit(this.features.within(reach), place));
  }
}

/** A map of the whole world is shown from shore to shore rather than from pole to pole. */
function inhabited(extent: Extent): Extent {
  const [west = 0, south = 0, east = 0, north = 0] = extent;
  if (east - west < WORLD_M * 0.8) return extent;
  const [, bottom] = toMercator([0, -56]);
  const [, top] = toMercator([0, 76]);
  return [west, Math.max(south, bottom), east, Math.min(north, top)];
}
