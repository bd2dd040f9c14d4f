// How features look. Styles are shared objects: a hundred thousand points use one.

import type { FeatureLike } from 'ol/Feature.js';
import MultiPolygon from 'ol/geom/MultiPolygon.js';
import type { StyleFunction } from 'ol/style/Style.js';
import { Circle, Fill, Stroke, Style, Text } from 'ol/style.js';
import type { Palette } from './palette.ts';

/** Properties of a drawn feature; none of them enters the document. */
export const FID = 'fid';
export const TITLE = 'title';
export const CONTESTED = 'contested';

const LABEL_FONT = '500 12px system-ui, sans-serif';
/** Polygons and lines narrower than this on the screen carry no label. */
const LABEL_WIDTH_MIN_PX = 44;

/** Line width and point radius in pixels from each resolution (metres a pixel at the equator) down. */
const SCALES = [
  { resolutionMin: 10_000, width: 0.7, radius: 4.5 },
  { resolutionMin: 2_000, width: 0.9, radius: 5 },
  { resolutionMin: 150, width: 1.2, radius: 5.5 },
  { resolutionMin: 0, width: 1.6, radius: 6.5 },
];

export function featureStyle(colours: Palette): StyleFunction {
  const scales = SCALES.map(({ resolutionMin, width, radius }) => ({
    resolutionMin,
    normal: drawn(colours.line, colours.fill, width, radius, colours.point, colours.pointEdge),
    contested: drawn(
      colours.contested,
      colours.fill,
      width + 1,
      radius + 1,
      colours.contested,
      colours.pointEdge,
      [6, 4],
    ),
  }));
  return (feature, resolution) => {
    const scale = scales.find(({ resolutionMin }) => resolution >= resolutionMin);
    return feature.get(CONTESTED) ? scale?.contested : scale?.normal;
  };
}

export function selectedStyle(colours: Palette): Style[] {
  return [
    drawn(colours.labelHalo, 'rgba(0, 0, 0, 0)', 5, 9.5, colours.labelHalo, colours.labelHalo),
    drawn(colours.selected, colours.selectedFill, 2.5, 7.5, colours.selected, colours.pointEdge),
  ];
}

/** Thick enough for a screen in the sun, and told apart without colours. */
export function previewStyle(colours: Palette, moment: 'before' | 'after'): Style[] {
  const halo = drawn(colours.labelHalo, 'rgba(0, 0, 0, 0)', 6, 10.5, colours.labelHalo, colours.labelHalo);
  const shape =
    moment === 'before'
      ? drawn(colours.before, 'rgba(0, 0, 0, 0)', 3, 8, colours.pointEdge, colours.before, [7, 6])
      : drawn(colours.after, colours.afterFill, 3, 8, colours.after, colours.pointEdge);
  return [halo, shape];
}

function drawn(
  line: string,
  fill: string,
  width: number,
  radius: number,
  point: string,
  edge: string,
  lineDash?: number[],
): Style {
  return new Style({
    fill: new Fill({ color: fill }),
    stroke: new Stroke({ color: line, width, lineJoin: 'round', ...(lineDash && { lineDash }) }),
    image: new Circle({
      radius,
      fill: new Fill({ color: point }),
      stroke: new Stroke({ color: edge, width: radius < 5.5 ? 1 : 1.75 }),
    }),
  });
}

export function labelStyle(colours: Palette): StyleFunction {
  const text = {
    font: LABEL_FONT,
    fill: new Fill({ color: colours.label }),
    stroke: new Stroke({ color: colours.labelHalo, width: 3 }),
  };
  const below = new Style({ text: new Text({ ...text, offsetY: 15 }) });
  const inside = new Style({ text: new Text({ ...text, overflow: true }), geometry: labelGeometry });
  const along = new Style({ text: new Text({ ...text, placement: 'line' }) });
  return (feature, resolution) => {
    const title: unknown = feature.get(TITLE);
    const geometry = feature.getGeometry();
    if (typeof title !== 'string' || title === '' || !geometry) return undefined;
    const type = geometry.getType();
    const isPoint = type === 'Point' || type === 'MultiPoint';
    const [west = 0, , east = 0] = geometry.getExtent();
    if (!isPoint && (east - west) / resolution < LABEL_WIDTH_MIN_PX) return undefined;
    const style = isPoint ? below : type.endsWith('LineString') ? along : inside;
    style.getText()?.setText(title);
    return style;
  };
}

/** A country of many islands carries one label, on the largest. */
function labelGeometry(feature: FeatureLike) {
  const geometry = feature.getGeometry();
  if (!(geometry instanceof MultiPolygon)) return geometry as MultiPolygon;
  const cached = largest.get(geometry);
  if (cached) return cached;
  const polygons = geometry.getPolygons();
  const areas = polygons.map((polygon) => polygon.getArea());
  const polygon = polygons[areas.indexOf(Math.max(...areas))];
  if (polygon) largest.set(geometry, polygon);
  return polygon ?? geometry;
}

const largest = new WeakMap<MultiPolygon, ReturnType<MultiPolygon['getPolygon']>>();
