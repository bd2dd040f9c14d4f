// The document's features on the map. Most of them rest in an image that is drawn once per view and only shifted while the map moves;
// those that have just changed lie above it in a layer that is drawn at once, until the map is idle.

import { createEmpty, type Extent, extend, isEmpty } from 'ol/extent.js';
import Feature from 'ol/Feature.js';
import type BaseLayer from 'ol/layer/Base.js';
import VectorLayer from 'ol/layer/Vector.js';
import VectorImageLayer from 'ol/layer/VectorImage.js';
import VectorSource from 'ol/source/Vector.js';
import type { StyleFunction } from 'ol/style/Style.js';
import type { Style } from 'ol/style.js';
import type { Geometry } from '../mapdoc/shape.ts';
import { toOl } from './geometry.ts';
import { onPaletteChange, palette } from './palette.ts';
import { CONTESTED, FID, featureStyle, labelStyle, selectedStyle, TITLE } from './style.ts';

export interface Drawable {
  fid: string;
  title: string;
  geometry: Geometry | null;
  isContested: boolean;
}

/** Changes of at most this many features are drawn above the resting image first; a larger set goes straight into it. */
const FRESH_MAX = 100;
/** Features rest again when nothing has changed for so long. */
const SETTLE_AFTER_MS = 3_000;
/** From this many features on, labels show only when zoomed in. */
const LABELS_EVERYWHERE_MAX = 5_000;
const LABELS_RESOLUTION_MAX_M = 300;

export class FeatureLayers {
  readonly layers: BaseLayer[];
  readonly #drawn = new Map<string, Feature>();
  readonly #resting = new VectorSource();
  readonly #fresh = new VectorSource();
  readonly #selected = new VectorSource();
  readonly #labels: VectorLayer;
  #selectedFid: string | null = null;
  #settleTimer: ReturnType<typeof setTimeout> | null = null;
  readonly #dispose: () => void;

  constructor() {
    const resting = new VectorImageLayer({ source: this.#resting, imageRatio: 1.5 });
    const fresh = new VectorLayer({ source: this.#fresh, updateWhileInteracting: true });
    const selected = new VectorLayer({ source: this.#selected, updateWhileInteracting: true });
    this.#labels = new VectorLayer({ source: this.#resting, declutter: true });
    this.layers = [resting, fresh, this.#labels, selected];
    const paint = () => {
      const colours = palette();
      resting.setStyle(featureStyle(colours));
      const [shape, label] = [featureStyle(colours), labelStyle(colours)];
      fresh.setStyle((feature, resolution) => [shape(feature, resolution), label(feature, resolution)].flatMap(asList));
      this.#labels.setStyle(label);
      selected.setStyle(selectedStyle(colours));
    };
    paint();
    this.#dispose = onPaletteChange(paint);
  }

  dispose(): void {
    if (this.#settleTimer !== null) clearTimeout(this.#settleTimer);
    this.#dispose();
  }

  get size(): number {
    return this.#drawn.size;
  }

  /** Draws, redraws or (null) takes away the features named. */
  update(changes: ReadonlyMap<string, Drawable | null>): void {
    const goesToFresh = changes.size <= FRESH_MAX && this.#drawn.size > 0;
    const gone: Feature[] = [];
    const added: Feature[] = [];
    for (const [fid, drawable] of changes) {
      const old = this.#drawn.get(fid);
      if (old) gone.push(old);
      this.#drawn.delete(fid);
      const feature = drawable && asFeature(drawable);
      if (!feature) continue;
      this.#drawn.set(fid, feature);
      added.push(feature);
    }
    this.#remove(gone);
    (goesToFresh ? this.#fresh : this.#resting).addFeatures(added);
    this.#settleLater();
    this.#labels.setMaxResolution(this.#drawn.size > LABELS_EVERYWHERE_MAX ? LABELS_RESOLUTION_MAX_M : Infinity);
    if (this.#selectedFid !== null && changes.has(this.#selectedFid)) this.select(this.#selectedFid);
  }

  #settleLater(): void {
    if (this.#settleTimer !== null) clearTimeout(this.#settleTimer);
    this.#settleTimer = setTimeout(() => this.#settle(), SETTLE_AFTER_MS);
  }

  #settle(): void {
    this.#settleTimer = null;
    const features = this.#fresh.getFeatures();
    if (features.length === 0) return;
    this.#fresh.clear(true);
    this.#fresh.changed();
    this.#resting.addFeatures(features);
  }

  select(fid: string | null): void {
    this.#selectedFid = fid;
    this.#selected.clear();
    const feature = fid === null ? undefined : this.#drawn.get(fid);
    if (feature) this.#selected.addFeature(feature.clone());
  }

  has(fid: string): boolean {
    return this.#drawn.has(fid);
  }

  /** Drawn features that touch the extent. */
  within(extent: Extent): Feature[] {
    return [this.#resting, this.#fresh].flatMap((source) =>
      source.getFeaturesInExtent(extent).filter((feature) => feature.getGeometry()?.intersectsExtent(extent)),
    );
  }

  /** Of one feature, or of all; null if there is nothing. */
  extent(fid?: string): Extent | null {
    if (fid !== undefined) return this.#drawn.get(fid)?.getGeometry()?.getExtent() ?? null;
    const all = createEmpty();
    for (const source of [this.#resting, this.#fresh]) {
      const extent = source.getExtent();
      if (extent && !isEmpty(extent)) extend(all, extent);
    }
    return isEmpty(all) ? this.#onlyPoint() : all;
  }

  /** The extent of a single point counts as empty. */
  #onlyPoint(): Extent | null {
    const [feature] = this.#drawn.values();
    return feature?.getGeometry()?.getExtent() ?? null;
  }

  #remove(features: Feature[]): void {
    for (const source of [this.#resting, this.#fresh]) {
      const there = features.filter((feature) => source.hasFeature(feature));
      if (there.length === 0) continue;
      if (there.length > FRESH_MAX) {
        // Many at once: one rebuild is cheaper than as many removals.
        const leaving = new Set(there);
        const staying = source.getFeatures().filter((feature) => !leaving.has(feature));
        source.clear(true);
        source.addFeatures(staying);
      } else for (const feature of there) source.removeFeature(feature);
    }
  }
}

function asList(style: ReturnType<StyleFunction>): Style[] {
  if (!style) return [];
  return Array.isArray(style) ? style : [style];
}

function asFeature({ fid, title, geometry, isContested }: Drawable): Feature | null {
  const drawn = geometry && toOl(geometry);
  if (!drawn) return null;
  const feature = new Feature(drawn);
  feature.set(FID, fid, true);
  feature.set(TITLE, title, true);
  feature.set(CONTESTED, isContested, true);
  return feature;
}
