// What the host decides before a launch: are the arguments sound, how is the work split, where is what.
#ifndef EDGETL_HEAD_PLAN_H
#define EDGETL_HEAD_PLAN_H

#include <cstdint>
#include <initializer_list>

#include "edgetl_checks.h"
#include "edgetl_head.h"

namespace edgetl::head {

constexpr int kLanes = 32;              // of a warp
constexpr int kThreads = 512;           // of a block
constexpr int kWarps = kThreads / kLanes;
constexpr int kChunk = 2048;            // channels pooled at a time: any number fits a fixed shared memory
constexpr int kMaxSlice = 256;          // classes of a block
constexpr int kTile = 4;                // images that share one read of the weights
constexpr int kFeaturePack = 4;         // channels per load of an aligned NHWC map, pixels of an NCHW one
constexpr int kRows = 4;                // classes of a warp at once: a load of means from shared memory serves them all
constexpr int kWeightPackBytes = 16;    // the widest load there is

// That there are registers for: where classes are many, one block pools while the other multiplies. A tile's sums
// take too many for two.
constexpr int blocks_per_processor(int tile) { return tile == 1 ? 2 : 1; }

struct Partial {  // what one block knows of one image's softmax
  float maximum;
  float sum;  // of exp(logit - maximum)
};

struct Candidate {
  float logit;
  std::int32_t index;
};

struct Plan {
  int tile;    // images per block
  int tiles;
  int slice;   // classes per block; the last slice may be shorter
  int slices;
  int height;  // of the map as it is walked: rows without a gap between them are one long row
  int width;
  float pool_factor;  // from the sum of a plane to its mean in feature units
  bool packed_features;
  bool packed_weights;
  std::uint32_t *tickets;  // (tiles,), how many blocks of a tile are done
  Partial *partials;       // (batch, slices)
  Candidate *candidates;   // (batch, slices, top_k), sorted within a slice
};

inline int element_bytes(std::int32_t dtype) {
  return dtype == EDGETL_FP32 ? 4 : dtype == EDGETL_FP16 ? 2 : 1;
}

// Whether the last element is within what 64 bits can address, in bytes.
inline bool is_addressable(std::initializer_list<std::int64_t> strides,
                           std::initializer_list<std::int64_t> sizes, int bytes) {
  std::int64_t room = INT64_MAX / bytes;
  const std::int64_t *size = sizes.begin();
  for (const std::int64_t stride : strides) {
    const std::int64_t steps = *size++ - 1;
    if (stride < 0 || (steps > 0 && stride > room / steps)) return false;
    room -= stride * steps;
  }
  return true;
}

inline edgetl_status check_sizes(const edgetl_head_args &args) {
  if (args.feature_dtype < EDGETL_FP32 || args.feature_dtype > EDGETL_INT8) return EDGETL_BAD_TYPE;
  if (args.weight_dtype != EDGETL_FP32 && args.weight_dtype != EDGETL_FP16) return EDGETL_BAD_TYPE;
  if (args.layout != EDGETL_NCHW && args.layout != EDGETL_NHWC) return EDGETL_BAD_TYPE;
  for (const std::int32_t size : {args.batch, args.channels, args.height, args.width, args.classes,
                                  args.multiprocessors}) {
    if (size < 1) return EDGETL_BAD_SIZE;
  }
  const std::int64_t pixels = std::int64_t{args.height} * args.width;
  if (args.batch > EDGETL_HEAD_MAX_BATCH || pixels > EDGETL_HEAD_MAX_PIXELS) return EDGETL_BAD_SIZE;
  if (args.top_k < 1 || args.top_k > args.classes || args.top_k > EDGETL_HEAD_MAX_TOP_K) {
    return EDGETL_BAD_TOP_K;
  }
  // Written so that NaN is refused too.
  if (args.feature_dtype == EDGETL_INT8 && !(args.feature_scale > 0 && args.feature_scale <= 3.4028234e38f)) {
    return EDGETL_BAD_SCALE;
  }
  const bool features = is_addressable(
      {args.batch_stride, args.channel_stride, args.row_stride, args.column_stride},
      {args.batch, args.channels, args.height, args.width}, element_bytes(args.feature_dtype));
  const bool weights = is_addressable({args.weight_stride, 1}, {args.classes, args.channels},
                                      element_bytes(args.weight_dtype));
  return features && weights ? EDGETL_OK : EDGETL_BAD_STRIDE;
}

inline edgetl_status check_pointers(const edgetl_head_args &args) {
  for (const void *needed : {args.features, args.weights, static_cast<const void *>(args.indices),
                             static_cast<const void *>(args.scores), static_cast<const void *>(args.status),
                             static_cast<const void *>(args.workspace)}) {
    if (needed == nullptr) return EDGETL_NULL_POINTER;
  }
  const bool aligned = is_multiple(args.features, element_bytes(args.feature_dtype)) &&
                       is_multiple(args.weights, element_bytes(args.weight_dtype)) &&
                       is_multiple(args.bias, 4) && is_multiple(args.indices, 4) &&
                       is_multiple(args.scores, 4) && is_multiple(args.probabilities, 4) &&
                       is_multiple(args.status, 4) && is_multiple(args.workspace, 8);
  return aligned ? EDGETL_OK : EDGETL_MISALIGNED;
}

// Split classes until every multiprocessor has a block, but never below one class a warp. Not finer, for each block
// pools for itself.
inline void split(const edgetl_head_args &args, Plan &plan) {
  plan.tile = args.batch == 1 ? 1 : kTile;
  plan.tiles = ceil_div(args.batch, plan.tile);
  const int wanted = ceil_div(args.multiprocessors, plan.tiles);
  const int slice = wanted < args.classes ? ceil_div(args.classes, wanted) : 1;
  plan.slice = slice < kWarps ? kWarps : slice > kMaxSlice ? kMaxSlice : slice;
  plan.slices = ceil_div(args.classes, plan.slice);
}

inline std::uint64_t ticket_bytes(const Plan &plan) {
  return (static_cast<std::uint64_t>(plan.tiles) * sizeof(std::uint32_t) + 7) / 8 * 8;
}

inline std::uint64_t workspace_bytes(const edgetl_head_args &args, const Plan &plan) {
  const std::uint64_t summaries = static_cast<std::uint64_t>(args.batch) * static_cast<std::uint64_t>(plan.slices);
  const std::uint64_t candidates = summaries * static_cast<std::uint64_t>(args.top_k);
  return ticket_bytes(plan) + summaries * sizeof(Partial) + candidates * sizeof(Candidate);
}

inline void place(const edgetl_head_args &args, Plan &plan) {
  char *const start = static_cast<char *>(args.workspace);
  plan.tickets = reinterpret_cast<std::uint32_t *>(start);
  plan.partials = reinterpret_cast<Partial *>(start + ticket_bytes(plan));
  plan.candidates = reinterpret_cast<Candidate *>(plan.partials + std::int64_t{args.batch} * plan.slices);
}

inline void choose_walk(const edgetl_head_args &args, Plan &plan) {
  // Divided, for of a stride only what is taken times less than the width is known to fit 64 bits.
  const bool gapless = args.height == 1 || (args.row_stride % args.width == 0 &&
                                            args.row_stride / args.width == args.column_stride);
  plan.height = gapless ? 1 : args.height;
  plan.width = gapless ? args.height * args.width : args.width;
  const double scale = args.feature_dtype == EDGETL_INT8 ? double{args.feature_scale} : 1.0;
  plan.pool_factor = static_cast<float>(scale / (double(args.height) * args.width));

  // Loads of planes begin before one and end behind it, but never behind the last of an image.
  const bool planes = gapless && args.column_stride == 1 && args.channel_stride == plan.width &&
                      args.channel_stride * args.channels % kFeaturePack == 0;
  const bool columns = args.channel_stride == 1 && args.row_stride % kFeaturePack == 0 &&
                       args.column_stride % kFeaturePack == 0;
  plan.packed_features = (args.layout == EDGETL_NCHW ? planes : columns) &&
                         args.batch_stride % kFeaturePack == 0 &&
                         is_multiple(args.features, kFeaturePack * element_bytes(args.feature_dtype));
  const int pack = kWeightPackBytes / element_bytes(args.weight_dtype);
  plan.packed_weights = args.weight_stride % pack == 0 && is_multiple(args.weights, kWeightPackBytes);
}

inline edgetl_status measure(const edgetl_head_args *args, std::uint64_t *bytes) {
  if (args == nullptr || bytes == nullptr) return EDGETL_NULL_POINTER;
  const edgetl_status status = check_sizes(*args);
  if (status != EDGETL_OK) return status;
  Plan plan{};
  split(*args, plan);
  *bytes = workspace_bytes(*args, plan);
  return EDGETL_OK;
}

inline edgetl_status make_plan(const edgetl_head_args *args, Plan &plan) {
  if (args == nullptr) return EDGETL_NULL_POINTER;
  edgetl_status status = check_sizes(*args);
  if (status == EDGETL_OK) status = check_pointers(*args);
  if (status != EDGETL_OK) return status;
  split(*args, plan);
  if (args->workspace_bytes < workspace_bytes(*args, plan)) return EDGETL_SMALL_WORKSPACE;
  place(*args, plan);
  choose_walk(*args, plan);
  return EDGETL_OK;
}

}  // namespace edgetl::head

#endif
