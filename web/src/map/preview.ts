// What an edit would change, drawn above the map: dashed as it is now, solid as it would be.

import { createEmpty, type Extent, extend, isEmpty } from 'ol/extent.js';
import Feature from 'ol/Feature.js';
import VectorLayer from 'ol/layer/Vector.js';
import VectorSource from 'ol/source/Vector.js';
import type { Geometry } from '../mapdoc/shape.ts';
import { toOl } from './geometry.ts';
import { onPaletteChange, palette } from './palette.ts';
import { previewStyle } from './style.ts';

export interface Change {
  before: Geometry | null;
  after: Geometry | null;
}

export class PreviewLayers {
  readonly #before = new VectorSource();
  readonly #after = new VectorSource();
  readonly layers: VectorLayer[];
  readonly dispose: () => void;

  constructor() {
    const before = new VectorLayer({ source: this.#before, updateWhileInteracting: true });
    const after = new VectorLayer({ source: this.#after, updateWhileInteracting: true });
    this.layers = [before, after];
    const paint = () => {
      const colours = palette();
      before.setStyle(previewStyle(colours, 'before'));
      after.setStyle(previewStyle(colours, 'after'));
    };
    paint();
    this.dispose = onPaletteChange(paint);
  }

  /** Takes the place of what was shown before. */
  show(changes: readonly Change[]): void {
    fill(
      this.#before,
      changes.map(({ before }) => before),
    );
    fill(
      this.#after,
      changes.map(({ after }) => after),
    );
  }

  /** Null if nothing is shown. */
  extent(): Extent | null {
    const features = [this.#before, this.#after].flatMap((source) => source.getFeatures());
    const all = createEmpty();
    for (const feature of features) extend(all, feature.getGeometry()?.getExtent() ?? createEmpty());
    // A single point has an extent without an area, which counts as empty.
    return isEmpty(all) ? (features[0]?.getGeometry()?.getExtent() ?? null) : all;
  }
}

function fill(source: VectorSource, geometries: readonly (Geometry | null)[]): void {
  source.clear(true);
  source.addFeatures(
    geometries.flatMap((geometry) => {
      const drawn = geometry && toOl(geometry);
      return drawn ? [new Feature(drawn)] : [];
    }),
  );
  source.changed();
}
