"""
A language model without the sum over its words
===============================================

A softmax over a vocabulary sums over all words at each step. Noise-contrastive estimation looks
at a few hundred noise words instead. It learns the same model: it predicts a word from the words
before it, and gives similar embeddings to words with similar use.
"""

import inspect
import re

import matplotlib.pyplot as plt
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split
from sklearn.utils import all_estimators

from skgm import NCELanguageModel

# %%
# A corpus that is at hand: what scikit-learn's estimators say of themselves.
docs = [inspect.getdoc(c).split("Examples\n")[0].lower() for _, c in all_estimators()]
text = sorted({line for doc in docs for line in re.split(r"\.\s|\n\s*\n", doc)})
sentences = [re.findall(r"[a-z_]+|\d+|[^\w\s]", line) for line in text]
train, test = train_test_split([s for s in sentences if len(s) > 3], random_state=0)
print(f"{len(train)} sentences, {sum(map(len, train))} words")

# %%
# Two losses: "ranking" finds the next word among noise words, "nce" tells it from them one by one.
# Perplexity is the number of equally likely words that would be as hard to predict. Only "nce"
# brings the sums over the vocabulary near one (log Z near zero), so that scores need no sum.
models = {}
for loss in ("ranking", "nce"):
    model = NCELanguageModel(loss=loss, n_components=50, n_noise=200, min_count=2, random_state=0)
    models[loss] = model.fit(train)
    stats = model.log_normalizer_stats(test)
    print(
        f"{loss:8s} perplexity {model.perplexity(test):5.1f} of {len(model.vocabulary_)} words, "
        f"log Z {stats.mean:+.2f} ± {stats.sd:.2f}"
    )
model = models["ranking"]

# %%
# Nearest words, and sentences drawn from the model.
for word in ("array", "float", "samples", "regression", "true"):
    print(f"{word:8s}", ", ".join(near for near, _ in model.most_similar(word, 5)))
for sentence in model.sample(3, random_state=1, max_length=20):
    print("-", " ".join(sentence))

# %%
# The embeddings of the most frequent words, in the plane of their largest differences.
rows = [row for row in range(2, 110) if model.vocabulary_[row].isalpha()][:45]
x, y = PCA(2).fit_transform(model.embeddings_[rows]).T
fig, axis = plt.subplots(figsize=(8, 6), layout="constrained")
axis.scatter(x, y, s=2)
for k, row in enumerate(rows):
    axis.annotate(model.vocabulary_[row], (x[k], y[k]), fontsize=8)
axis.set(title="Words of a kind lie together", xlabel="first direction", ylabel="second direction")
plt.show()
