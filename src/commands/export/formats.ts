import type { ExportFormat } from '../../operations/export-formats.ts';
import { csv } from './csv.ts';
import type { Format } from './format.ts';
import { html } from './html.ts';
import { json } from './json.ts';
import { markdown } from './markdown.ts';
import { ndjson } from './ndjson.ts';

export const FORMATS: Readonly<Record<ExportFormat, Format>> = { json, ndjson, csv, markdown, html };
