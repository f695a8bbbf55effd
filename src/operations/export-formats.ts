/** How the events of a session can be written down. */
export const EXPORT_FORMATS = ['json', 'ndjson', 'csv', 'markdown', 'html'] as const;
export type ExportFormat = (typeof EXPORT_FORMATS)[number];
