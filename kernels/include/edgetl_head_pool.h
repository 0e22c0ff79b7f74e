// Means of the planes of a feature map, for one chunk of channels, into shared memory.
#ifndef EDGETL_HEAD_POOL_H
#define EDGETL_HEAD_POOL_H

#include "edgetl_head_math.h"

namespace edgetl::head {

constexpr int kPoolLanes = 8;  // share one NCHW plane: 7 x 7 pixels leave 32 lanes half idle, and cost more shuffles

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

// NCHW: kPoolLanes lanes walk one plane, so that a warp reads a few runs of memory.
template <class Element, class Block>
EDGETL_DEVICE void pool_planes(const edgetl_head_args &args, const Plan &plan, const Element *image, int count,
                               Block &block, float *pooled) {
  const int thread = block.thread();
  const int lane = thread % kPoolLanes;
  // The bound is of the warp, not of the lane: every lane must reach the shuffles.
  for (int first = thread / kLanes * (kLanes / kPoolLanes); first < count; first += kThreads / kPoolLanes) {
    const int channel = first + thread % kLanes / kPoolLanes;
    Sum<Element> sum;
    if (channel < count) {
      EDGETL_KEEP_LOOP
      for (int row = 0; row < plan.height; ++row) {
        const Element *line = image + channel * args.channel_stride + row * args.row_stride;
        for (int column = lane; column < plan.width; column += kPoolLanes) {
          sum.add(line[column * args.column_stride]);
        }
      }
    }
    const float total = warp_sum<kPoolLanes>(block, sum.value());
    if (channel < count && lane == 0) pooled[channel] = total * plan.pool_factor;
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
