// The backdrop: land and a graticule, both from this page itself, so that it works without any other host.

import Feature from 'ol/Feature.js';
import MultiPolygon from 'ol/geom/MultiPolygon.js';
import type BaseLayer from 'ol/layer/Base.js';
import Graticule from 'ol/layer/Graticule.js';
import VectorImageLayer from 'ol/layer/VectorImage.js';
import VectorSource from 'ol/source/Vector.js';
import { Fill, Stroke, Style } from 'ol/style.js';
import landUrl from '../generated/land.bin?url';
import { unpack } from '../mapdoc/pack.ts';
import { toMercator } from './geometry.ts';
import { onPaletteChange, palette } from './palette.ts';

export const ATTRIBUTION = 'Background: Natural Earth';

export function createBasemap(): { layers: BaseLayer[]; dispose: () => void } {
  const source = new VectorSource();
  const land = new VectorImageLayer({ source, imageRatio: 1.5, style: landStyle() });
  const graticule = new Graticule({ strokeStyle: graticuleStroke(), showLabels: false, wrapX: true });
  const stop = onPaletteChange(() => land.setStyle(landStyle()));
  void loadLand().then((geometry) => geometry && source.addFeature(new Feature(geometry)));
  return { layers: [land, graticule], dispose: stop };
}

function landStyle(): Style {
  return new Style({ fill: new Fill({ color: palette().land }) });
}

function graticuleStroke(): Stroke {
  return new Stroke({ color: 'rgba(110, 140, 155, 0.16)', width: 1 });
}

/** Null when the file cannot be had: the map works without its backdrop. */
async function loadLand(): Promise<MultiPolygon | null> {
  try {
    const response = await fetch(landUrl);
    const result = unpack(new Uint8Array(await response.arrayBuffer()));
    return result.ok ? toMultiPolygon(result.shape.parts) : null;
  } catch {
    return null;
  }
}

function toMultiPolygon(parts: number[][][]): MultiPolygon {
  const flat: number[] = [];
  const endss = parts.map((rings) =>
    rings.map((ring) => {
      for (let i = 0; i <= ring.length; i += 2) {
        const k = i % ring.length;
        flat.push(...toMercator([ring[k] ?? 0, ring[k + 1] ?? 0]));
      }
      return flat.length;
    }),
  );
  return new MultiPolygon(flat, 'XY', endss);
}
