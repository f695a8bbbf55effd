/** What a principal may do (contract, section 6): resource type, operations and scope; further axes narrow it. */
export const RESOURCE_TYPES = ['cli_operations', 'web_operations', 'api_operations', 'mcp_tool'] as const;
export const OPERATIONS = ['read', 'write', 'execute', 'list'] as const;
export type Operation = (typeof OPERATIONS)[number];

/** From the least to the greatest. */
export const RISKS = ['minimal', 'low', 'medium', 'high'] as const;
export type Risk = (typeof RISKS)[number];
