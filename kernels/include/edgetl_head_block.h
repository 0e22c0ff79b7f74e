// The program of one block: a slice of the classes for a tile of images; the last block of a tile merges its slices.
//
// `Block` is the machine: thread(), slice(), tile(), sync(), shuffle_xor(), publish(), take_ticket(), fresh().
// csrc/fused_head.cu makes one of CUDA's intrinsics; a test makes one that a CPU runs.
#ifndef EDGETL_HEAD_BLOCK_H
#define EDGETL_HEAD_BLOCK_H

#include "edgetl_head_pool.h"

namespace edgetl::head {

template <int kImages>
struct Shared {
  alignas(16) float pooled[kImages][kChunk];
  float logits[kImages][kMaxSlice];
  float maximum[kImages];
  float sum[kImages];
  Candidate found[kImages][kWarps / kImages * EDGETL_HEAD_MAX_TOP_K];
  bool is_last;
};

struct Range {
  int first;
  int count;
};

EDGETL_DEVICE Range part(int number, int size, int total) {
  const int first = number * size;
  return {first, total - first < size ? total - first : size};
}

// One lane's share of the products of every kWarps-th row of weights with every image's pooled channels. What is taken
// times the stride is the number of a row that is there: more may be beyond 64 bits.
template <int kCount, int kImages, class Weight>
EDGETL_DEVICE void multiply_lane(const Weight *rows, std::int64_t stride, const float (*pooled)[kChunk], int count,
                                 int lane, bool is_packed, float (&dots)[kCount][kImages]) {
  constexpr int kPack = kWeightPackBytes / static_cast<int>(sizeof(Weight));
  const int packs = is_packed ? count / kPack : 0;
  EDGETL_UNROLL_BY(kRows / kCount)  // kRows loads on the way in any case: more take more registers than there are
  for (int pack = lane; pack < packs; pack += kLanes) {
    Pack<Weight, kPack> weights[kCount];
    for (int row = 0; row < kCount; ++row) weights[row] = load<kPack>(rows + row * kWarps * stride + pack * kPack);
    for (int image = 0; image < kImages; ++image) {
      for (int quad = 0; quad < kPack; quad += 4) {  // 16 bytes, the widest load of shared memory
        const Pack<float, 4> means = load<4>(pooled[image] + pack * kPack + quad);
        for (int row = 0; row < kCount; ++row) {
          for (int i = 0; i < 4; ++i) dots[row][image] += as_float(weights[row].at[quad + i]) * means.at[i];
        }
      }
    }
  }
  for (int channel = packs * kPack + lane; channel < count; channel += kLanes) {
    for (int row = 0; row < kCount; ++row) {
      const float weight = as_float(rows[row * kWarps * stride + channel]);
      for (int image = 0; image < kImages; ++image) dots[row][image] += weight * pooled[image][channel];
    }
  }
}

// A chunk's part of the logits of classes `at`, `at + kWarps` and so on: those of one warp, which alone touches them.
template <int kCount, int kImages, class Weight, class Block>
EDGETL_DEVICE void add_classes(const edgetl_head_args &args, const Plan &plan, Range classes, Range chunk, int at,
                               Block &block, Shared<kImages> &shared) {
  const int lane = block.thread() % kLanes;
  const std::int64_t number = classes.first + at;
  const Weight *rows = static_cast<const Weight *>(args.weights) + number * args.weight_stride + chunk.first;
  float dots[kCount][kImages] = {};
  multiply_lane<kCount, kImages>(rows, args.weight_stride, shared.pooled, chunk.count, lane,
                                 plan.packed_weights, dots);
  for (int row = 0; row < kCount; ++row) {
    const int place = at + row * kWarps;
    const float bias = args.bias == nullptr ? 0.0F : args.bias[classes.first + place];
    for (int image = 0; image < kImages; ++image) {
      const float dot = warp_sum(block, dots[row][image]);
      if (lane != 0) continue;
      shared.logits[image][place] = dot + (chunk.first == 0 ? bias : shared.logits[image][place]);
    }
  }
}

template <int kImages, class Weight, class Block>
EDGETL_DEVICE void add_chunk(const edgetl_head_args &args, const Plan &plan, Range classes, Range chunk,
                             Block &block, Shared<kImages> &shared) {
  int at = block.thread() / kLanes;
  for (; at + (kRows - 1) * kWarps < classes.count; at += kRows * kWarps) {
    add_classes<kRows, kImages, Weight>(args, plan, classes, chunk, at, block, shared);
  }
  for (; at < classes.count; at += kWarps) {
    add_classes<1, kImages, Weight>(args, plan, classes, chunk, at, block, shared);
  }
}

template <int kImages, class Weight, class Block>
EDGETL_DEVICE void make_logits(const edgetl_head_args &args, const Plan &plan, Range classes, Range images,
                               Block &block, Shared<kImages> &shared) {
  const int chunks = (args.channels - 1) / kChunk + 1;  // counted, for the end of the last may be beyond 32 bits
  for (int number = 0; number < chunks; ++number) {
    const Range chunk = part(number, kChunk, args.channels);
    EDGETL_KEEP_LOOP  // six ways to pool are large enough once
    for (int image = 0; image < kImages; ++image) {
      if (image < images.count) {
        pool(args, plan, images.first + image, chunk.first, chunk.count, block, shared.pooled[image]);
      } else {  // the last tile may be short of images; its spare rows are multiplied all the same
        for (int i = block.thread(); i < chunk.count; i += kThreads) shared.pooled[image][i] = 0.0F;
      }
    }
    block.sync();
    add_chunk<kImages, Weight>(args, plan, classes, chunk, block, shared);
    block.sync();
  }
}

// One warp: what the slice adds to an image's softmax and top-k.
template <class Block>
EDGETL_DEVICE void summarise(const edgetl_head_args &args, const Plan &plan, Range classes, std::int64_t image,
                             const float *logits, Block &block) {
  const int lane = block.thread() % kLanes;
  float maximum = -INFINITY;
  for (int i = lane; i < classes.count; i += kLanes) maximum = max_or_nan(maximum, logits[i]);
  maximum = warp_max(block, maximum);

  float sum = 0.0F;
  if (maximum != -INFINITY) {  // else every term is exp(-inf + inf), and the slice adds nothing
    for (int i = lane; i < classes.count; i += kLanes) sum += expf(logits[i] - maximum);
  }
  sum = warp_sum(block, sum);

  const std::int64_t at = image * plan.slices + block.slice();
  if (lane == 0) plan.partials[at] = {maximum, sum};
  Candidate *const found = plan.candidates + at * args.top_k;
  select_top_k(
      block, lane, classes.count, args.top_k,
      [&](std::int64_t i) { return Candidate{logits[i], classes.first + static_cast<int>(i)}; },
      [&](int rank, const Candidate &candidate) { found[rank] = candidate; });

  if (args.probabilities == nullptr) return;  // its place holds the logits until the maximum of all is known
  float *const row = args.probabilities + image * args.classes + classes.first;
  for (int i = lane; i < classes.count; i += kLanes) row[i] = logits[i];
}

// One warp: the softmax of all slices. A maximum that has no softmax comes back as NaN.
template <class Block>
EDGETL_DEVICE Partial merge_softmax(const Plan &plan, std::int64_t image, Block &block) {
  const int lane = block.thread() % kLanes;
  const Partial *const partials = plan.partials + image * plan.slices;
  float maximum = -INFINITY;
  for (int i = lane; i < plan.slices; i += kLanes) {
    maximum = max_or_nan(maximum, block.fresh(&partials[i].maximum));
  }
  maximum = warp_max(block, maximum);
  float sum = 0.0F;
  for (int i = lane; i < plan.slices; i += kLanes) {
    sum += block.fresh(&partials[i].sum) * expf(block.fresh(&partials[i].maximum) - maximum);
  }
  sum = warp_sum(block, sum);
  return {is_finite(maximum) ? maximum : NAN, sum};
}

// One warp: the first k of a part of an image's candidates.
template <class Block>
EDGETL_DEVICE void gather(const edgetl_head_args &args, const Plan &plan, std::int64_t image, int number, int parts,
                          Candidate *found, Block &block) {
  const std::int64_t all = std::int64_t{plan.slices} * args.top_k;
  const std::int64_t size = (all + parts - 1) / parts;
  const std::int64_t first = number * size;
  const Candidate *const from = plan.candidates + image * all + first;
  select_top_k(
      block, block.thread() % kLanes, all - first < size ? all - first : size, args.top_k,
      [&](std::int64_t i) {
        return Candidate{block.fresh(&from[i].logit), block.fresh(&from[i].index)};
      },
      [&](int rank, const Candidate &candidate) { found[rank] = candidate; });
}

// One warp: an image's status and top-k from what `parts` warps gathered.
template <class Block>
EDGETL_DEVICE void merge_top_k(const edgetl_head_args &args, std::int64_t image, int parts, const Candidate *found,
                               const Partial &all, Block &block) {
  const int lane = block.thread() % kLanes;
  const bool is_sound = is_finite(all.maximum);
  std::int32_t *const indices = args.indices + image * args.top_k;
  float *const scores = args.scores + image * args.top_k;
  if (lane == 0) args.status[image] = is_sound ? EDGETL_OK : EDGETL_NAN;
  select_top_k(
      block, lane, std::int64_t{parts} * args.top_k, args.top_k, [&](std::int64_t i) { return found[i]; },
      [&](int rank, const Candidate &candidate) {
        indices[rank] = is_sound ? candidate.index : -1;
        scores[rank] = is_sound ? expf(candidate.logit - all.maximum) / all.sum : NAN;
      });
}

template <int kImages, class Block>
EDGETL_DEVICE void write_probabilities(const edgetl_head_args &args, Range images, Block &block,
                                       const Shared<kImages> &shared) {
  for (int image = 0; image < images.count; ++image) {
    float *const row = args.probabilities + std::int64_t{images.first + image} * args.classes;
    for (std::int64_t i = block.thread(); i < args.classes; i += kThreads) {
      row[i] = expf(block.fresh(row + i) - shared.maximum[image]) / shared.sum[image];
    }
  }
}

// The last block of a tile: softmax and top-k of its images from all slices. What comes from L2 is read by all warps,
// for one would wait for each of its loads.
template <int kImages, class Block>
EDGETL_DEVICE void merge(const edgetl_head_args &args, const Plan &plan, Range images, Block &block,
                         Shared<kImages> &shared) {
  constexpr int kParts = kWarps / kImages;
  const int warp = block.thread() / kLanes;
  const int image = warp / kParts;
  const int number = warp % kParts;
  if (image < images.count) {
    gather(args, plan, images.first + image, number, kParts, shared.found[image] + number * args.top_k, block);
  }
  if (warp < images.count) {
    const Partial all = merge_softmax(plan, images.first + warp, block);
    if (block.thread() % kLanes == 0) {
      shared.maximum[warp] = all.maximum;
      shared.sum[warp] = all.sum;
    }
  }
  block.sync();
  if (warp < images.count) {
    const Partial all{shared.maximum[warp], shared.sum[warp]};
    merge_top_k(args, images.first + warp, kParts, shared.found[warp], all, block);
  }
  if (args.probabilities != nullptr) write_probabilities(args, images, block, shared);
}

template <int kImages, class Weight, class Block>
EDGETL_DEVICE void run_block(const edgetl_head_args &args, const Plan &plan, Block &block,
                             Shared<kImages> &shared) {
  const Range classes = part(block.slice(), plan.slice, args.classes);
  const Range images = part(block.tile(), kImages, args.batch);
  const int warp = block.thread() / kLanes;
  make_logits<kImages, Weight>(args, plan, classes, images, block, shared);
  if (warp < images.count) {
    summarise(args, plan, classes, images.first + warp, shared.logits[warp], block);
  }

  block.publish();  // before the ticket says so
  block.sync();
  if (block.thread() == 0) {
    const auto last = static_cast<std::uint32_t>(plan.slices - 1);
    shared.is_last = block.take_ticket(plan.tickets + block.tile(), last) == last;
  }
  block.sync();
  if (shared.is_last) merge(args, plan, images, block, shared);
}

// The instance for these arguments: `launch.template run<kImages, Weight>()`.
template <class Launch>
edgetl_status choose(const edgetl_head_args &args, const Plan &plan, Launch launch) {
  const bool is_half = args.weight_dtype == EDGETL_FP16;
  if (plan.tile == 1) return is_half ? launch.template run<1, Half>() : launch.template run<1, float>();
  return is_half ? launch.template run<kTile, Half>() : launch.template run<kTile, float>();
}

}  // namespace edgetl::head

#endif
