/**
 * What was measured in the conversation trace of the Azure LLM inference data set of 2023 (AzureLLMInferenceTrace_conv.csv,
 * Microsoft, CC-BY 4.0; Patel et al., "Splitwise: Efficient generative LLM inference using phase splitting", ISCA 2024):
 * 19,366 requests in 3,502 s on 2023-11-16. docs/model-sim.md has the figures and how they were taken.
 */

export const AZURE_CONVERSATION = {
  requests: 19_366,
  ratePerSecond: 5.53,
  /** Coefficient of variation of the gaps: over all, and the median of those inside single minutes. */
  gapVariation: 1.09,
  gapVariationInMinute: 1.02,
  contextTokens: { p10: 207, p50: 1_020, p90: 2_734, p99: 4_142, mean: 1_155 },
  generatedTokens: { p10: 54, p50: 129, p90: 424, p99: 601, mean: 211 },
  /** Between context and generated tokens. */
  rankCorrelation: 0.07,
} as const;

/** Variance of the logarithm of the arrival rate, and how fast the rate forgets itself: its autocovariance over lags of 1 s to 900 s. */
export const LOG_RATE_VARIANCE = 0.05;
export const RATE_MEMORY_S = 450;

/** Shape of a Weibull distribution whose coefficient of variation is 1.04: gaps inside a minute are nearly exponential. */
export const GAP_SHAPE = 0.96;

export interface QuantileTable {
  /** Rising from 0 to 1. */
  readonly at: readonly number[];
  readonly value: readonly number[];
}

/** Quantiles of ContextTokens. */
export const CONTEXT_TOKENS: QuantileTable = {
  at: [
    0, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9,
    0.95, 0.975, 0.99, 0.999, 1,
  ],
  value: [
    2, 29, 120, 181, 207, 372, 387, 396, 403, 414, 703, 984, 1020, 1045, 1071, 1097, 1130, 1189, 1315, 1876, 2734, 4083,
    4092, 4142, 6179, 14_050,
  ],
};

/** The probabilities of the rows below. */
export const GENERATED_AT = [0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1] as const;

/**
 * Quantiles of GeneratedTokens in each twentieth of the requests ordered by ContextTokens. The two depend on each other
 * strongly, though their correlation is near 0: prompts of about 1,000 tokens get answers of 400, all others short ones.
 */
export const GENERATED_TOKENS_BY_CONTEXT: readonly (readonly number[])[] = [
  [11, 12, 12, 16, 97, 136, 176, 208, 223, 319, 1000],
  [47, 53, 73, 89, 143, 170, 211, 217, 217, 267, 1000],
  [14, 14, 14, 18, 18, 79, 148, 183, 217, 219, 436],
  [7, 33, 48, 53, 63, 74, 87, 99, 111, 143, 189],
  [24, 49, 64, 75, 85, 93, 104, 124, 136, 163, 199],
  [43, 63, 80, 83, 90, 99, 113, 135, 147, 174, 200],
  [25, 69, 81, 85, 91, 101, 117, 141, 151, 182, 200],
  [31, 46, 64, 78, 87, 96, 111, 137, 158, 328, 739],
  [10, 31, 45, 65, 89, 153, 403, 431, 465, 596, 921],
  [29, 51, 117, 375, 393, 403, 424, 465, 535, 619, 722],
  [33, 56, 364, 378, 394, 404, 425, 475, 552, 647, 992],
  [44, 78, 373, 379, 395, 408, 429, 478, 535, 937, 1000],
  [31, 57, 371, 378, 394, 410, 429, 501, 563, 647, 1000],
  [28, 50, 138, 375, 393, 405, 429, 497, 572, 668, 1000],
  [29, 41, 75, 155, 391, 404, 427, 501, 561, 648, 992],
  [26, 42, 56, 79, 148, 208, 402, 428, 466, 619, 954],
  [24, 37, 47, 52, 75, 107, 166, 230, 374, 483, 918],
  [15, 28, 41, 48, 66, 88, 115, 146, 164, 201, 458],
  [17, 26, 29, 34, 43, 58, 96, 137, 164, 300, 535],
  [17, 26, 31, 36, 44, 59, 83, 122, 144, 229, 757],
];
