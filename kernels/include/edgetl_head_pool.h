// Means of the planes of a feature map, for one chunk of channels, into shared memory.
#ifndef EDGETL_HEAD_POOL_H
#define EDGETL_HEAD_POOL_H

#include "edgetl_head_math.h"

namespace edgetl::head {

constexpr int kPoolLanes = 8;   // share one NCHW plane: 7 x 7 pixels leave 32 lanes half idle, and cost more shuffles
constexpr int kPoolGroups = kLanes / kPoolLanes;  // planes that a warp reads side by side
constexpr int kPoolPlanes = 4;  // of a lane: their loads are on the way together

// NHWC: a thread walks the pixels of kCount neighbouring channels, so that a warp reads one run of memory.
template <int kCount, class Element>
EDGETL_DEVICE void pool_columns(const edgetl_head_args &args, const Plan &plan, const Element *image, int begin,
                                int end, int thread, float *pooled) {
  EDGETL_KEEP_LOOP
  for (int channel = begin + thread * kCount; channel < end; channel += kThreads * kCount) {
    Sum<Element> sums[kCount];
    EDGETL_KEEP_LOOP
    for (int row = 0; row < plan.height; ++row) {
      const Element *from = image + channel * args.channel_stride + row * args.row_stride;
      for (int column = 0; column < plan.width; ++column, from += args.column_stride) {
        const Pack<Element, kCount> pack = load<kCount>(from);
        for (int i = 0; i < kCount; ++i) sums[i].add(pack.at[i]);
      }
    }
    for (int i = 0; i < kCount; ++i) pooled[channel + i] = sums[i].value() * plan.pool_factor;
  }
}

// A lane's share of planes of an NCHW map of any strides.
template <class Element>
EDGETL_DEVICE void add_pixels(const edgetl_head_args &args, const Plan &plan, const Element *image, int first,
                              int count, int lane, Sum<Element> (&sums)[kPoolPlanes]) {
  for (int plane = 0; plane < kPoolPlanes; ++plane) {
    const int channel = first + plane * kPoolGroups;
    if (channel >= count) continue;
    EDGETL_KEEP_LOOP
    for (int row = 0; row < plan.height; ++row) {
      const Element *line = image + channel * args.channel_stride + row * args.row_stride;
      EDGETL_UNROLL_BY(2)
      for (int column = lane; column < plan.width; column += kPoolLanes) {
        sums[plane].add(line[column * args.column_stride]);
      }
    }
  }
}

// The same of a map without gaps, by wide loads. Few planes begin where one may: the first load of a plane begins in
// the plane before, the last ends in the one behind, and what is theirs is left out.
template <class Element>
EDGETL_DEVICE void add_packs(const Plan &plan, const Element *image, int first, int count, int lane,
                             Sum<Element> (&sums)[kPoolPlanes]) {
  EDGETL_KEEP_LOOP
  for (int begin = lane * kFeaturePack; begin < plan.width + kFeaturePack - 1; begin += kPoolLanes * kFeaturePack) {
    Pack<Element, kFeaturePack> packs[kPoolPlanes] = {};
    int at[kPoolPlanes];
    for (int plane = 0; plane < kPoolPlanes; ++plane) {
      const int channel = first + plane * kPoolGroups;
      const std::int64_t start = std::int64_t{channel} * plan.width;
      at[plane] = begin - static_cast<int>(start % kFeaturePack);
      if (channel < count && at[plane] < plan.width) packs[plane] = load<kFeaturePack>(image + start + at[plane]);
    }
    for (int plane = 0; plane < kPoolPlanes; ++plane) {
      for (int i = 0; i < kFeaturePack; ++i) {
        const bool is_inside = static_cast<unsigned>(at[plane] + i) < static_cast<unsigned>(plan.width);
        if (is_inside) sums[plane].add(packs[plane].at[i]);
      }
    }
  }
}

// NCHW: kPoolLanes lanes walk one plane, so that a warp reads a few runs of memory.
template <class Element, class Block>
EDGETL_DEVICE void pool_planes(const edgetl_head_args &args, const Plan &plan, const Element *image, int count,
                               Block &block, float *pooled) {
  constexpr int kStep = kPoolGroups * kPoolPlanes;
  const int thread = block.thread();
  const int lane = thread % kPoolLanes;
  // The bound is of the warp, not of the lane: every lane must reach the shuffles.
  EDGETL_KEEP_LOOP
  for (int first = thread / kLanes * kStep; first < count; first += kWarps * kStep) {
    const int channel = first + thread % kLanes / kPoolLanes;
    Sum<Element> sums[kPoolPlanes];
    if (plan.packed_features) {
      add_packs(plan, image, channel, count, lane, sums);
    } else {
      add_pixels(args, plan, image, channel, count, lane, sums);
    }
    for (int plane = 0; plane < kPoolPlanes; ++plane) {
      const int at = channel + plane * kPoolGroups;
      const float total = warp_sum<kPoolLanes>(block, sums[plane].value());
      if (at < count && lane == 0) pooled[at] = total * plan.pool_factor;
    }
  }
}

template <class Element, class Block>
EDGETL_DEVICE void pool_image(const edgetl_head_args &args, const Plan &plan, int image, int first, int count,
                              Block &block, float *pooled) {
  const Element *from = static_cast<const Element *>(args.features) + image * args.batch_stride +
                        first * args.channel_stride;
  if (args.layout == EDGETL_NCHW) {
    pool_planes(args, plan, from, count, block, pooled);
    return;
  }
  const int packed = plan.packed_features ? count / kFeaturePack * kFeaturePack : 0;
  pool_columns<kFeaturePack>(args, plan, from, 0, packed, block.thread(), pooled);
  pool_columns<1>(args, plan, from, packed, count, block.thread(), pooled);
}

// The type is looked at here, not in the kernel's name: it is the same for the whole grid, and each kernel more
// is compile time for every architecture.
template <class Block>
EDGETL_DEVICE void pool(const edgetl_head_args &args, const Plan &plan, int image, int first, int count,
                        Block &block, float *pooled) {
  switch (args.feature_dtype) {
    case EDGETL_FP32: pool_image<float>(args, plan, image, first, count, block, pooled); break;
    case EDGETL_FP16: pool_image<Half>(args, plan, image, first, count, block, pooled); break;
    default: pool_image<std::int8_t>(args, plan, image, first, count, block, pooled);
  }
}

}  // namespace edgetl::head

#endif
