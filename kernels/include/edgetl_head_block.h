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

// One lane's share of the products of a row of weights with every image's pooled channels.
template <int kImages, class Weight>
EDGETL_DEVICE void multiply_lane(const Weight *row, const float (*pooled)[kChunk], int count, int lane,
                                 bool is_packed, float (&dots)[kImages]) {
  constexpr int kPack = kWeightPackBytes / static_cast<int>(sizeof(Weight));
  const int packs = is_packed ? count / kPack : 0;
  for (int pack = lane; pack < packs; pack += kLanes) {
    const Pack<Weight, kPack> weights = load<kPack>(row + pack * kPack);
    for (int image = 0; image < kImages; ++image) {
      for (int quad = 0; quad < kPack; quad += 4) {  // 16 bytes, the widest load of shared memory
        const Pack<float, 4> means = load<4>(pooled[image] + pack * kPack + quad);
        for (int i = 0; i < 4; ++i) dots[image] += as_float(weights.at[quad + i]) * means.at[i];
      }
    }
  }
  for (int channel = packs * kPack + lane; channel < count; channel += kLanes) {
    const float weight = as_float(row[channel]);
    for (int image = 0; image < kImages; ++image) dots[image] += weight * pooled[image][channel];
  }
}

// A chunk's part of the logits; a warp per class, which alone touches that class.
template <int kImages, class Weight, class Block>
EDGETL_DEVICE void add_chunk(const edgetl_head_args &args, const Plan &plan, Range classes, Range chunk,
                             Block &block, Shared<kImages> &shared) {
  const int lane = block.thread() % kLanes;
  for (int at = block.thread() / kLanes; at < classes.count; at += kWarps) {
    const std::int64_t number = classes.first + at;
    const Weight *row = static_cast<const Weight *>(args.weights) + number * args.weight_stride + chunk.first;
    float dots[kImages] = {};
    multiply_lane<kImages>(row, shared.pooled, chunk.count, lane, plan.packed_weights, dots);
    for (int image = 0; image < kImages; ++image) {
      const float dot = warp_sum(block, dots[image]);
      if (lane != 0) continue;
      const float bias = args.bias == nullptr ? 0.0F : args.bias[number];
      shared.logits[image][at] = dot + (chunk.first == 0 ? bias : shared.logits[image][at]);
    }
  }
}

template <int kImages, class Weight, class Block>
EDGETL_DEVICE void make_logits(const edgetl_head_args &args, const Plan &plan, Range classes, Range images,
                               Block &block, Shared<kImages> &shared) {
  for (int first = 0; first < args.channels; first += kChunk) {
    const int count = args.channels - first < kChunk ? args.channels - first : kChunk;
    EDGETL_KEEP_LOOP  // six ways to pool are large enough once
    for (int image = 0; image < kImages; ++image) {
      if (image < images.count) {
        pool(args, plan, images.first + image, first, count, block, shared.pooled[image]);
      } else {  // the last tile may be short of images; its spare rows are multiplied all the same
        for (int i = block.thread(); i < count; i += kThreads) shared.pooled[image][i] = 0.0F;
      }
    }
    block.sync();
    add_chunk<kImages, Weight>(args, plan, classes, Range{first, count}, block, shared);
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

// One warp: an image's status and top-k from all slices.
template <class Block>
EDGETL_DEVICE void merge_top_k(const edgetl_head_args &args, const Plan &plan, std::int64_t image,
                               const Partial &all, Block &block) {
  const int lane = block.thread() % kLanes;
  const bool is_sound = is_finite(all.maximum);
  const std::int64_t count = std::int64_t{plan.slices} * args.top_k;
  const Candidate *const found = plan.candidates + image * count;
  std::int32_t *const indices = args.indices + image * args.top_k;
  float *const scores = args.scores + image * args.top_k;
  if (lane == 0) args.status[image] = is_sound ? EDGETL_OK : EDGETL_NAN;
  select_top_k(
      block, lane, count, args.top_k,
      [&](std::int64_t i) {
        return Candidate{block.fresh(&found[i].logit), block.fresh(&found[i].index)};
      },
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
  if (!shared.is_last) return;

  if (warp < images.count) {
    const Partial all = merge_softmax(plan, images.first + warp, block);
    merge_top_k(args, plan, images.first + warp, all, block);
    shared.maximum[warp] = all.maximum;  // every lane writes the same
    shared.sum[warp] = all.sum;
  }
  block.sync();
  if (args.probabilities != nullptr) write_probabilities(args, images, block, shared);
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
