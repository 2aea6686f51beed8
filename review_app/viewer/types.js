// @ts-check
// The shapes that the other files pass around, for the type checker; nothing here runs.

/**
 * @typedef {{x: number, y: number, width: number, height: number, criterion?: string | null, label?: string,
 *   shape?: string, strokes?: any[], thickness?: number}} Region
 *   as fractions of the image
 * @typedef {{check: string, result: string, score: number, sentence: string, regions: Region[], evidence: any}} Finding
 * @typedef {{id: number, by: string, when: string, text: string, names: string[], unknown: string[], of: string,
 *   new: boolean, token?: string, glimpsed?: boolean, seen?: boolean}} Comment  one with a token is still on its way
 * @typedef {{label: string, url: string, thumb: string}} Other  a picture that the image was made from
 * @typedef {{id: string, revision: number, project: string, asset: string, variant: string, tier: string, take: number,
 *   width: number, height: number, preview: string, original: string, thumb: string, beside: Other[],
 *   findings: Finding[], palette: {colours: string[], tolerance: number} | null, criteria: string[], prompt: string, negative: string, params: [string, string][],
 *   lit: string, backgrounds: {name: string, url: string}[], promotes: boolean, step: string, steps: string[], imported: boolean, cut: boolean, standing: string, standing_by: string, decisions: any[], comments: Comment[], rating: {stars: number, colour: string, by: string}, retake: any, kin?: boolean}} Item
 *   one image, as review_app/deck.py tells of it
 * @typedef {{marks: Record<string, string>, regions: Region[], note: string, comment: string, shown: number, active: string | null}} Draft
 * @typedef {{items: Map<string, Item>, order: string[], at: number, drafts: Map<string, Draft>,
 *   done: Map<string, {verdict: string, seq: number}>, skipped: Set<string>}} Deck
 * @typedef {{image: string, seq?: number, revision: number, verdict: string, undoes?: number, [field: string]: any}} Act
 * @typedef {{client: string, seq: number, waiting: Act[], answered: number, sentAt: number, attempt: number,
 *   send: () => void, reviewer: string}} Outbox
 * @typedef {any} View  everything of one screen: `deck`, `outbox`, `look`, `parts` (elements by data-part), `data`
 */
