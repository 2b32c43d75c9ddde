// hnswlib: a graph over all vectors. With a filter only those of one space count, so the search must be wider: it is widened until nine in
// ten of the best are found.
#include "peer_vectors.h"

#include <hnswlib.h>

static const size_t LINKS = 16, BUILD_WIDTH = 200, FIRST_WIDTH = 64;

namespace {
class InSpace : public hnswlib::BaseFilterFunctor {
public:
    InSpace(size_t first_number, size_t count) : first(first_number), many(count) {}
    bool operator()(hnswlib::labeltype number) override { return number - first < many; }

private:
    size_t first, many;
};

hnswlib::HierarchicalNSW<float> *graph;
InSpace *filter;
size_t width = FIRST_WIDTH, most_width;
}

void peer_build(const struct peer_work *work) {
    auto *space = new hnswlib::InnerProductSpace(PEER_DIMS);
    graph = new hnswlib::HierarchicalNSW<float>(space, work->count, LINKS, BUILD_WIDTH);
    for (size_t i = 0; i < work->count; i++)
        graph->addPoint(work->vectors + i * PEER_DIMS, i + 1);
    filter = work->each == 0 ? nullptr : new InSpace(work->first + 1, work->each);
    most_width = work->count;
    graph->setEf(width);
}

size_t peer_ask(const float *question, int64_t *numbers) {
    auto found = graph->searchKnn(question, PEER_BEST, filter);
    size_t count = 0;
    for (; !found.empty(); found.pop())
        numbers[count++] = static_cast<int64_t>(found.top().second);
    return count;
}

int peer_widen(void) {
    if (width >= most_width)
        return 0;
    width *= 2;
    graph->setEf(width);
    return 1;
}
